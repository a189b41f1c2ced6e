"""Where the model files are, and whether they are the right ones."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file

from imagebind_node.errors import ModelFileError

ENVIRONMENT = "IMAGEBIND_NODE_MODELS"
_PACKAGE = "imagebind_node"


def model_dir(name: str = "concept") -> Path:
    """Folder of the model `name`: the one place that knows the search order.

    1. $IMAGEBIND_NODE_MODELS/name, if the variable is set (nothing else is tried then); 2. models/name of the
    checkout beside the package; 3. share/imagebind_node/models/name under sys.prefix (wheels); 4. the same under
    every prefix of AMENT_PREFIX_PATH (colcon). Raises ModelFileError that lists the places.
    """
    override = os.environ.get(ENVIRONMENT)
    if override:
        places = [Path(override).expanduser() / name]
    else:
        share = Path("share") / _PACKAGE / "models" / name
        places = [Path(__file__).resolve().parents[3] / "models" / name, Path(sys.prefix) / share]
        prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
        places += [Path(prefix) / share for prefix in prefixes if prefix]
    for place in places:
        if (place / "card.yaml").is_file():
            return place
    listed = ", ".join(str(place) for place in places)
    raise ModelFileError(
        f"model {name!r} not found (no card.yaml in {listed}): reinstall, or set {ENVIRONMENT} to the folder "
        f"that holds {name}/"
    )


@lru_cache(maxsize=8)
def read_card(folder: Path) -> dict[str, Any]:
    """card.yaml of a model folder."""
    path = folder / "card.yaml"
    try:
        card = yaml.safe_load(path.read_text(encoding="utf-8"))
        card["space"]["id"], card["files"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ModelFileError(f"{path} cannot be read ({error}): reinstall the package") from None
    return card


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _known_file() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / _PACKAGE / "verified.json"


def _known() -> dict[str, Any]:
    try:
        known = json.loads(_known_file().read_text())
        return known if isinstance(known, dict) else {}
    except (OSError, ValueError, RuntimeError):
        return {}


def _remember(key: str, entry: list) -> None:
    """Best effort: a read-only home only means that the next start hashes again."""
    try:
        path = _known_file()
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(f".{os.getpid()}")
        scratch.write_text(json.dumps({**_known(), key: entry}))
        scratch.replace(path)
    except (OSError, RuntimeError):
        pass


def verified(folder: Path, name: str) -> Path:
    """Path of a model file whose sha256 is the card's; hashed once for every size, time and inode of the file.

    Raises ModelFileError that names the file, both hashes and the mend.
    """
    path = folder / name
    try:
        expected = read_card(folder)["files"][name]["sha256"]
        status = path.stat()
    except KeyError:
        raise ModelFileError(f"{folder / 'card.yaml'} does not list {name}: reinstall the package") from None
    except OSError as error:
        raise ModelFileError(
            f"model file {path} is missing ({error.strerror}): restore it with `git checkout` or reinstall"
        ) from None
    stamp = [status.st_size, status.st_mtime_ns, status.st_ino, expected]
    if _known().get(str(path)) == stamp:
        return path
    found = _sha256(path)
    if found != expected:
        hint = " (a Git LFS pointer?)" if status.st_size < 1000 else ""
        raise ModelFileError(
            f"model file {path} is damaged{hint}: sha256 {found}, expected {expected}; restore it with "
            "`git checkout` or reinstall"
        )
    _remember(str(path), stamp)
    return path


def load_tensors(folder: Path, name: str) -> dict[str, torch.Tensor]:
    """Verified tensors of a safetensors file, as float32."""
    path = verified(folder, name)
    try:
        return {key: value.float() for key, value in load_file(path).items()}
    except SafetensorError as error:
        raise ModelFileError(f"model file {path} cannot be read: {error}; reinstall") from None


def load_network(build: Callable[[], torch.nn.Module], folder: Path, name: str) -> torch.nn.Module:
    """Network made by `build` and filled from a verified file, in evaluation mode."""
    # Built without storage: filling it with random numbers first would take longer than reading the weights.
    with torch.device("meta"):
        network = build()
    try:
        network.load_state_dict(load_tensors(folder, name), assign=True)
    except RuntimeError as error:
        raise ModelFileError(f"model file {folder / name} does not fit the network: {error}") from None
    return network.eval().requires_grad_(False)
