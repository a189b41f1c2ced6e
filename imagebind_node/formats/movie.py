"""Video files through OpenCV, thinned while decoding so that memory stays bounded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from imagebind_node.errors import InvalidInputError
from imagebind_node.formats.bounded import MEBI, decoding, regular_file
from imagebind_node.samples import MAX_IMAGE_SIDE

MOVIE_BYTES = 4096 * MEBI
KEPT_BYTES = 512 * MEBI
KEPT_FRAMES = 2048
MAX_SECONDS = 3600.0
_DEFAULT_FPS = 25.0


def read_frames(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Video file -> (uint8 (T, H, W, 3) RGB, float64 (T,) seconds from the first frame).

    At most 2048 frames and 512 MiB are kept: when that is full, every other frame is dropped and decoding goes
    on at half the rate, so that what is kept always covers the whole video evenly. Raises InvalidInputError:
    not a video, over 4 GiB, over an hour.
    """
    # FFmpeg would otherwise print its own lines about damaged files next to our one clear line.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2

    with decoding(path, "video", "use MP4, MKV, WebM, AVI or MOV"):
        path = regular_file(path, MOVIE_BYTES)
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)
            try:
                if not capture.isOpened():
                    raise InvalidInputError("no video stream found: use MP4, MKV, WebM, AVI or MOV")
                return _collect(capture)
            except cv2.error as error:
                raise ValueError(str(error)) from error
            finally:
                capture.release()
        finally:
            cv2.utils.logging.setLogLevel(level)


def _collect(capture: Any) -> tuple[np.ndarray, np.ndarray]:
    import cv2

    width = capture.get(cv2.CAP_PROP_FRAME_WIDTH)
    height = capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    if max(width, height) > MAX_IMAGE_SIDE or width * height * 3 > KEPT_BYTES // 2:
        raise InvalidInputError(f"frames of {width:.0f}x{height:.0f} pixels are too large: shrink the video")
    fps = capture.get(cv2.CAP_PROP_FPS)
    fps = fps if 0.1 <= fps <= 1000.0 else _DEFAULT_FPS
    frames: list[np.ndarray] = []
    times: list[float] = []
    stride, index = 1, 0
    while capture.grab():
        # Some containers carry no usable times (0 for every frame): then the frame rate tells them.
        stamp = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
        moment = stamp if stamp > 0.0 or index == 0 else index / fps
        if index % stride == 0:
            found, frame = capture.retrieve()
            if not found:
                break
            if frames and frame.shape != frames[0].shape:
                raise InvalidInputError("frames change size within the video")
            frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
            times.append(moment)
        index += 1
        if moment > MAX_SECONDS:
            raise InvalidInputError(f"is longer than {MAX_SECONDS:.0f} s: cut it")
        if len(frames) >= KEPT_FRAMES or (frames and len(frames) * frames[0].nbytes > KEPT_BYTES // 2):
            frames, times, stride = frames[::2], times[::2], stride * 2
    if not frames:
        raise InvalidInputError("holds no decodable frame")
    moments = np.maximum.accumulate(np.asarray(times, dtype=np.float64))
    return np.stack(frames), moments - moments[0]
