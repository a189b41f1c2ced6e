"""The REST interface of a Qdrant server, as far as we use it, over qdrant-client's local mode.

No Qdrant server can be had where these tests run. What goes over the wire here is real: requests are checked by the
models that are generated from Qdrant's own OpenAPI description, and every answer is read by the real client.
"""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import TypeAdapter
from qdrant_client import QdrantClient, models

_PATH = re.compile(r"/collections/([^/]+)(/exists|/index|/points(?:/query|/count|/scroll|/delete)?)?")


class QdrantOverHttp:
    """Serves at `url` until `close`. requests: (method, path, body, headers) so far.

    fail_after: number of writes after which the connection is cut before the answer, once; None never.
    """

    def __init__(self, api_key: str = "") -> None:
        self.requests: list[tuple[str, str, Any, dict[str, str]]] = []
        self.api_key = api_key
        self.fail_after: int | None = None
        self._local = QdrantClient(":memory:")
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer._serve(self)

            do_PUT = do_POST = do_GET  # noqa: N815

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        raw = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        body = json.loads(raw) if raw else None
        with self._lock:
            self.requests.append((handler.command, handler.path, body, dict(handler.headers)))
            if self.api_key and handler.headers.get("api-key") != self.api_key:
                return self._answer(handler, 401, None)
            try:
                result = self._do(handler.command, handler.path.split("?")[0], body)
            except KeyError:
                return self._answer(handler, 404, None)
            except Exception as error:  # noqa: BLE001 - a test server says what was wrong with the request
                return self._answer(handler, 400, {"error": str(error)})
            if handler.command == "PUT" and "/points" in handler.path and self.fail_after is not None:
                self.fail_after -= 1
                if self.fail_after < 0:
                    self.fail_after = None
                    handler.close_connection = True
                    return handler.connection.close()
        return self._answer(handler, 200, result)

    @staticmethod
    def _answer(handler: BaseHTTPRequestHandler, status: int, result: Any) -> None:
        if status == 200 and isinstance(result, dict) and "version" in result:
            document = result
        else:
            document = {"result": result, "status": "ok" if status == 200 else result, "time": 0.0}
        data = json.dumps(document).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def _do(self, method: str, path: str, body: Any) -> Any:
        if path == "/":
            from importlib.metadata import version

            return {"title": "qdrant", "version": version("qdrant-client")}
        match = _PATH.fullmatch(path)
        if match is None:
            raise KeyError(path)
        name, action = match[1], (method, match[2] or "")
        if action == ("GET", "/exists"):
            return {"exists": self._local.collection_exists(name)}
        if action == ("PUT", ""):
            wanted = models.CreateCollection(**body)
            return self._local.create_collection(name, vectors_config=wanted.vectors)
        if not self._local.collection_exists(name):
            raise KeyError(name)
        done = {"operation_id": 0, "status": "completed"}
        if action == ("GET", ""):
            return _plain(self._local.get_collection(name))
        if action == ("PUT", "/index"):
            models.CreateFieldIndex(**body)
            return done
        if action == ("PUT", "/points"):
            points = TypeAdapter(list[models.PointStruct]).validate_python(body["points"])
            self._local.upsert(name, points)
            return done
        if action == ("POST", "/points/delete"):
            self._local.delete(name, models.PointIdsList(**body))
            return done
        if action == ("POST", "/points"):
            asked = models.PointRequest(**body)
            return _plain(
                self._local.retrieve(
                    name, asked.ids, with_payload=asked.with_payload, with_vectors=asked.with_vector
                )
            )
        if action == ("POST", "/points/count"):
            count = models.CountRequest(**body)
            return _plain(self._local.count(name, count_filter=count.filter, exact=count.exact))
        if action == ("POST", "/points/scroll"):
            scroll = models.ScrollRequest(**body)
            records, following = self._local.scroll(
                name,
                scroll_filter=scroll.filter,
                limit=scroll.limit,
                order_by=scroll.order_by,
                offset=scroll.offset,
                with_payload=scroll.with_payload,
                with_vectors=scroll.with_vector,
            )
            return {"points": _plain(records), "next_page_offset": following}
        query = models.QueryRequest(**body)
        return _plain(
            self._local.query_points(
                name,
                query=query.query,
                limit=query.limit,
                query_filter=query.filter,
                with_payload=query.with_payload,
                with_vectors=query.with_vector,
            )
        )


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list) else value.model_dump(mode="json")
