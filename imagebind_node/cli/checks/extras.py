"""Optional parts: which extras are installed, and what the others would bring."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from imagebind_node.cli.checks import Finding, State

# Extra of setup.py -> (distributions with the module of each, what it is for). `ros` has checks of its own.
EXTRAS: dict[str, tuple[dict[str, str], str]] = {
    "owlvit": ({"transformers": "transformers"}, "detection with OWL-ViT, CLIP"),
    "onnx": ({"onnx": "onnx", "onnxruntime": "onnxruntime", "onnxscript": "onnxscript"}, "models export"),
    "realsense": ({"pyrealsense2": "pyrealsense2"}, "RealSense cameras"),
    "memory": ({"qdrant-edge-py": "qdrant_edge"}, "remembering embeddings on this machine"),
    "fleet": ({"qdrant-client": "qdrant_client"}, "remembering embeddings on a server"),
    "bags": ({"rosbags": "rosbags"}, "recordings: replay, index, pairs"),
    "learn": ({"scikit-learn": "sklearn"}, "few-shot recognition by a linear probe"),
    "ray": ({"ray": "ray"}, "indexing on a cluster"),
    "tracking": ({"trackers": "trackers", "supervision": "supervision"}, "ids of detections"),
    "serial": ({"pyserial": "serial"}, "IMUs on a serial line"),
    "datasets": ({"h5py": "h5py"}, "evaluation datasets in HDF5"),
    "webdataset": ({"webdataset": "webdataset"}, "another reader of training pairs"),
    "ros-build": ({"colcon-common-extensions": "colcon_core"}, "building the interfaces"),
    "dev": ({"pytest": "pytest", "hypothesis": "hypothesis", "ruff": "ruff", "mypy": "mypy"}, "tests"),
}
# Compiled modules whose libraries may be missing though the package is there, and quick to import.
_COMPILED = {"pyrealsense2": "apt-get install libusb-1.0-0", "qdrant_edge": "", "h5py": ""}


def check_extras() -> Iterator[Finding]:
    """One finding an extra."""
    for extra, (packages, purpose) in EXTRAS.items():
        yield _extra(extra, packages, purpose)


def _extra(extra: str, packages: dict[str, str], purpose: str) -> Finding:
    missing = [package for package, module in packages.items() if find_spec(module) is None]
    mend = f"pip install 'imagebind_node[{extra}]', or make setup EXTRAS={extra}"
    if missing:
        return Finding(
            "extras", State.MISSING, f"{extra} ({purpose}): {', '.join(missing)} not installed", mend
        )
    for module in packages.values():
        if module not in _COMPILED:
            continue
        try:
            import_module(module)
        except (ImportError, OSError) as error:
            reason = " ".join(str(error).split())
            return Finding(
                "extras", State.BROKEN, f"{extra} ({purpose}): {module}: {reason}", _COMPILED[module] or mend
            )
    return Finding("extras", State.OK, f"{extra} ({purpose}): {', '.join(map(_named, packages))}")


def _named(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:  # from the distribution's packages, without metadata
        return package
