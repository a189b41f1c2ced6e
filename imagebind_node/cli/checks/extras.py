"""Optional parts: which extras of the package are installed, and what the others would bring."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from imagebind_node.cli.checks import Finding, State
from imagebind_node.cli.checks.child import run_child

PURPOSES = {
    "owlvit": "detection with OWL-ViT, CLIP",
    "onnx": "models export",
    "realsense": "RealSense cameras",
    "memory": "remembering embeddings on this machine",
    "fleet": "remembering embeddings on a server",
    "bags": "recordings: replay, index, pairs",
    "learn": "few-shot recognition by a linear probe",
    "ray": "indexing on a cluster",
    "tracking": "ids of detections",
    "serial": "IMUs on a serial line",
    "datasets": "evaluation datasets in HDF5",
    "generate": "pictures from embeddings of ImageBind",
    "webdataset": "another reader of training pairs",
    "tensorboard": "curves of a training",
    "docs": "the documentation site",
    "view": "the live view in a browser",
    "browser": "the test of the live view",
    "ros-build": "building the interfaces",
    "dev": "tests",
}
# Compiled packages whose libraries may be missing though they are there: module, and what brings the libraries.
_COMPILED = {
    "pyrealsense2": ("pyrealsense2", "apt-get install libusb-1.0-0"),
    "qdrant-edge-py": ("qdrant_edge", ""),
    "h5py": ("h5py", ""),
}
_SHOWN = 4


def check_extras(package: str = "imagebind_node") -> Iterator[Finding]:
    """One finding for every extra that the installed package declares; ROS itself is checked elsewhere."""
    try:
        lines = requires(package) or []
    except PackageNotFoundError:
        return
    extras: dict[str, list[str]] = {}
    for line in lines:
        requirement, _, marker = line.partition(";")
        found = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", marker)
        if found:
            extras.setdefault(found[1], []).append(requirement.strip())
    for extra, wanted in extras.items():
        if extra != "ros":
            yield _extra(extra, wanted)


def _extra(extra: str, wanted: list[str]) -> Finding:
    title = f"{extra} ({PURPOSES[extra]})" if extra in PURPOSES else extra
    mend = f"pip install 'imagebind_node[{extra}]', or make setup EXTRAS={extra}"
    there, missing = [], []
    for requirement in wanted:
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        try:
            found = version(name)
        except PackageNotFoundError:
            missing.append(name)
            continue
        if not _fits(requirement, found):
            return Finding("extras", State.BROKEN, f"{title}: {name} {found}, needs {requirement}", mend)
        module, library = _COMPILED.get(name, ("", ""))
        _, reason = run_child(f"import {module}") if module else ([], "")
        if reason:
            return Finding(
                "extras", State.BROKEN, f"{title}: {name} cannot be loaded: {reason}", library or mend
            )
        there.append(f"{name} {found}")
    if missing:
        return Finding("extras", State.MISSING, f"{title}: without {_few(missing)}", mend)
    return Finding("extras", State.OK, f"{title}: {_few(there)}")


def _few(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _fits(requirement: str, found: str) -> bool:
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return True
    return Requirement(requirement).specifier.contains(found, prereleases=True)
