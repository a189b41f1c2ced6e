"""A network camera without hardware, for tests and benchmarks/faults.py."""

from __future__ import annotations

import http.server
import threading
import time

import cv2
import numpy as np

COUNT, RATE = 30, 15.0


class MjpegServer:
    """A network camera: multipart JPEG over HTTP at 15 Hz on a port that stays the same when it comes back.

    Of its pictures, 640x480, one after the other is greener: `number_of` tells which one it is. While `stalled` is
    set it stays silent without hanging up.
    """

    def __init__(self) -> None:
        self._port = 0
        self._server: http.server.ThreadingHTTPServer | None = None
        pictures = [np.full((480, 640, 3), (10, 8 * index, 240), np.uint8) for index in range(COUNT)]
        self._pictures = [cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures]
        self._going = threading.Event()
        self.stalled = threading.Event()
        self.connections = 0
        self.number = 0
        """Of the picture sent last, counted from the start of the connection."""

    @staticmethod
    def number_of(picture: np.ndarray) -> int:
        """Which of the COUNT pictures this is: uint8 (480, 640, 3) RGB."""
        return round(float(picture[..., 1].mean()) / 8)

    @property
    def url(self) -> str:
        """Where the stream is."""
        return f"http://127.0.0.1:{self._port}/stream.mjpg"

    def start(self) -> None:
        """Serve."""
        self._going.set()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.connections += 1
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                number = 0
                while server._going.is_set():
                    time.sleep(1 / RATE)
                    if server.stalled.is_set():
                        continue
                    body = server._pictures[number % COUNT]
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
                    try:
                        self.wfile.write(head.encode() + body + b"\r\n")
                    except OSError:
                        return
                    server.number, number = number, number + 1

            def log_message(self, *words: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Hang up and free the port."""
        self._going.clear()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        self._server = None
