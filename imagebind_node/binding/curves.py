"""The course of a training: history.jsonl always, TensorBoard where it is installed."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from imagebind_node.errors import InvalidInputError

logger = logging.getLogger(__name__)
HISTORY = "history.jsonl"


class Curves:
    """Appends one line a step; resuming at `step` forgets what a lost stretch had written after it."""

    def __init__(self, folder: Path, step: int) -> None:
        """Raises InvalidInputError if the folder cannot be written."""
        path = folder / HISTORY
        try:
            folder.mkdir(parents=True, exist_ok=True)
            kept = [entry for entry in read_history(folder) if entry["step"] <= step] if step else []
            path.write_text("".join(json.dumps(entry) + "\n" for entry in kept), encoding="utf-8")
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise InvalidInputError(f"cannot write to {folder}: {error.strerror}") from None
        self._board = _tensorboard(folder / "tensorboard", step)

    def add(self, entry: dict[str, Any]) -> None:
        """One step: `step` and numbers by name."""
        self._file.write(json.dumps(entry) + "\n")
        if self._board is not None:
            for name, value in entry.items():
                if name != "step":
                    self._board.add_scalar(name, value, entry["step"])

    def flush(self) -> None:
        """Put everything on disk."""
        self._file.flush()
        if self._board is not None:
            self._board.flush()

    def close(self) -> None:
        """Flush and close."""
        self._file.close()
        if self._board is not None:
            self._board.close()


def read_history(folder: str | Path) -> list[dict[str, Any]]:
    """The entries of a training's history; [] if there is none. A line cut off by a crash is left out."""
    try:
        lines = (Path(folder) / HISTORY).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    entries = []
    for line in lines:
        try:
            entry = json.loads(line)
            entries.append({**entry, "step": int(entry["step"])})
        except (ValueError, KeyError, TypeError):
            continue
    return entries


def _tensorboard(folder: Path, step: int) -> Any:
    # TensorBoard would import TensorFlow if that is installed: seconds, and nothing gained here.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        logger.warning(
            "no TensorBoard curves: pip install 'imagebind_node[tensorboard]'; %s is written anyway", HISTORY
        )
        return None
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
