"""Where drawings go: to the viewers, into a file, or both."""

from __future__ import annotations

import logging
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rerun as rr

from imagebind_node.errors import InvalidInputError
from imagebind_node.view.layout import APPLICATION, TIMELINE, blueprint

SUFFIX = ".rrd"
_FLUSH_SECONDS = 5.0
_LEAST_FREE = 64_000_000
logger = logging.getLogger(__name__)


class Output:
    """Logs to Rerun recordings: the server's, while `live` is true (somebody looks), and a file."""

    def __init__(self) -> None:
        self.live = False
        self._server: Any = None
        self._file: Any = None
        self._path: Path | None = None
        self._limit = 0

    @property
    def is_wanted(self) -> bool:
        """True while drawings go anywhere."""
        return self._file is not None or (self.live and self._server is not None)

    @property
    def file_bytes(self) -> int:
        """Size of the file so far, 0 without one."""
        return self._path.stat().st_size if self._path is not None and self._path.exists() else 0

    def connect(self, url: str) -> None:
        """Send to the server at `url` (see ServerConfig.data_url) from now on."""
        self.disconnect()
        recording = _new_recording()
        recording.connect_grpc(url, default_blueprint=blueprint())
        self._server = recording

    def disconnect(self) -> None:
        """Forget the server."""
        _close(self._server)
        self._server = None

    def record(self, path: str, limit_mb: int) -> Path:
        """Write everything to a new .rrd file until it has `limit_mb` MB (1e6 bytes); returns its path.

        `path` may hold the codes of strftime, such as %Y%m%d_%H%M%S. Raises InvalidInputError if it cannot be
        written; an existing file is never overwritten.
        """
        chosen = Path(time.strftime(path)).expanduser()
        if chosen.suffix != SUFFIX:
            raise InvalidInputError(
                f"record: {chosen} must end in {SUFFIX}, the format of Rerun's recordings"
            )
        try:
            chosen.parent.mkdir(parents=True, exist_ok=True)
            chosen.open("xb").close()
        except FileExistsError:
            raise InvalidInputError(
                f"record: {chosen} exists: choose another name, for example with %H%M%S in it"
            ) from None
        except OSError as error:
            raise InvalidInputError(f"record: cannot write {chosen}: {error.strerror}") from None
        self._file = _new_recording()
        self._file.save(chosen, default_blueprint=blueprint())
        self._path, self._limit = chosen, limit_mb * 1_000_000
        return chosen

    def end_full_file(self) -> str:
        """Close the file if it has reached its limit or the disk is nearly full; says which, empty if neither."""
        if self._file is None or self._path is None:
            return ""
        if self.file_bytes >= self._limit:
            reason = f"{self._path} has reached record_limit_mb"
        elif shutil.disk_usage(self._path.parent).free < _LEAST_FREE:
            reason = f"the disk of {self._path} is full"
        else:
            return ""
        self.close_file()
        return reason

    def log(self, entity: str, stamp: int, what: Any) -> None:
        """Log at `stamp` (ns)."""
        for recording in self._targets(self.live):
            recording.set_time(TIMELINE, timestamp=np.datetime64(stamp, "ns"))
            recording.log(entity, what)

    def log_always(self, entity: str, what: Any) -> None:
        """Log for all times: what a viewer that comes later has to know too."""
        for recording in self._targets(live=True):
            recording.log(entity, what, static=True)

    def log_rows(self, entity: str, stamps: np.ndarray, columns: Any) -> None:
        """Log many rows at once. stamps: int64 (N,) ns."""
        times = rr.TimeColumn(TIMELINE, timestamp=stamps.astype("datetime64[ns]"))
        for recording in self._targets(self.live):
            recording.send_columns(entity, [times], columns)

    def close_file(self) -> None:
        """Write out and close the file, if there is one."""
        _close(self._file)
        self._file = None

    def close(self) -> None:
        """Write out and close everything. May be called twice."""
        self.close_file()
        self.disconnect()

    def _targets(self, live: bool) -> list[Any]:
        server = self._server if live else None
        return [recording for recording in (server, self._file) if recording is not None]


def _new_recording() -> Any:
    return rr.RecordingStream(APPLICATION, recording_id=uuid.uuid4())


def _close(recording: Any) -> None:
    if recording is None:
        return
    steps: tuple[Callable[[], None], ...] = (
        lambda: recording.flush(timeout_sec=_FLUSH_SECONDS),
        recording.disconnect,
    )
    for step in steps:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - the server may be gone; what matters is that we go on
            logger.warning("view: %s", " ".join(str(error).split()))
