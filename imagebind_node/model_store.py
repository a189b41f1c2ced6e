"""Model files: what there is, where it lies, fetching it, and whether it is whole.

Files that the user has to fetch lie under the XDG cache folder, never in the working directory. Cards
(models/NAME/card.yaml) say where a model comes from and under which licence.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagebind_node.download import Progress, fetch
from imagebind_node.errors import InvalidInputError, ModelFileError
from imagebind_node.hub import HubFolder, fetch_folder

_BLOCK = 1 << 22
MODELS = ("concept", "imagebind_huge", "concept_decoder", "stable_unclip")


def cache_root() -> Path:
    """$XDG_CACHE_HOME/imagebind_node, or ~/.cache/imagebind_node (relative values are ignored, as XDG says)."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "imagebind_node"


def model_folder(name: str) -> Path:
    """Where the user's files of a model lie (not created here)."""
    return cache_root() / name


@dataclass(frozen=True)
class ModelFile:
    """One file of a model. size in bytes and sha256 (hexadecimal) are None where they are not known."""

    name: str
    url: str | None = None
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class ModelCard:
    """What a card says. `bundled`: the files come with the package; otherwise `pull` fetches them.

    hub: repositories that `pull` fetches whole folders from; `files` then are only those that must be there.
    """

    name: str
    space: str
    dim: int
    bundled: bool
    licence: str
    licence_url: str
    terms: str
    source: str
    files: tuple[ModelFile, ...]
    folder: Path
    hub: tuple[HubFolder, ...] = ()

    def path(self, file: ModelFile) -> Path:
        """Where `file` is, or belongs."""
        return (self.folder if self.bundled else model_folder(self.name)) / file.name


@dataclass(frozen=True)
class ModelStatus:
    """A model and the state of its files here: "ready", "missing" or "incomplete" (a download to resume)."""

    card: ModelCard
    state: str
    bytes: int


def read_model_card(name: str) -> ModelCard:
    """The card of a model. Raises InvalidInputError for an unknown name, ModelFileError for a broken card."""
    if name not in MODELS:
        raise InvalidInputError(f"unknown model {name!r}: use one of {', '.join(MODELS)}")
    from imagebind_node.encoders.concept.weights import model_dir, read_card

    folder = model_dir(name)
    raw = read_card(folder)
    try:
        files = tuple(_file(key, entry or {}) for key, entry in raw["files"].items())
        hub = tuple(HubFolder(**entry) for entry in raw.get("hub", ()))
        licence = raw.get("licence", {})
        if isinstance(licence, str):
            licence = {"name": licence}
        return ModelCard(
            name=name,
            space=raw["space"]["id"],
            dim=int(raw["space"]["dim"]),
            bundled=not hub and all(file.url is None for file in files),
            licence=licence.get("name", "see NOTICE"),
            licence_url=licence.get("url", ""),
            terms=licence.get("terms", ""),
            source=str(raw.get("source", "")),
            files=files,
            folder=folder,
            hub=hub,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(f"{folder / 'card.yaml'} is damaged ({error}): reinstall the package") from error


def _file(name: str, entry: dict[str, Any]) -> ModelFile:
    size = entry.get("size")
    return ModelFile(name, entry.get("url"), None if size is None else int(size), entry.get("sha256"))


def list_models() -> list[ModelStatus]:
    """Every model and the state of its files on this machine."""
    statuses = []
    for name in MODELS:
        card = read_model_card(name)
        present = [card.path(file) for file in card.files if card.path(file).is_file()]
        partial = any(_partial(card.path(file)).is_file() for file in card.files)
        ready = len(present) == len(card.files)
        state = "ready" if ready else "incomplete" if present or partial else "missing"
        statuses.append(ModelStatus(card, state, sum(path.stat().st_size for path in present)))
    return statuses


def licence_text(name: str) -> str:
    """The terms that a user must accept before `pull`."""
    card = read_model_card(name)
    return f"{name} is licensed under {card.licence} ({card.licence_url}).\n{card.terms.strip()}"


def pull(
    name: str,
    *,
    accept_licence: bool,
    url: str | None = None,
    repository: str | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Fetch the files of a model into its cache folder and check them; returns their paths.

    An interrupted download is resumed. `url`: another place to fetch a one-file model from, for example a mirror
    in your network; the same checks apply. `repository`: another one on the Hugging Face Hub (OWNER/NAME) for a model
    that comes from there. progress(done, total) is called as bytes arrive, total None if unknown; not for the Hub.
    Raises InvalidInputError without acceptance, ModelFileError if the network or the file fails.
    """
    card = read_model_card(name)
    if card.bundled:
        verify(name)
        return [card.path(file) for file in card.files]
    if not accept_licence:
        raise InvalidInputError(
            f"{name} is licensed under {card.licence}, read {card.licence_url}: pull it with --accept-licence"
        )
    if url is not None and (card.hub or len(card.files) != 1):
        raise InvalidInputError(f"{name} has {len(card.files)} files: url fits models of one file only")
    if repository is not None and not card.hub:
        raise InvalidInputError(f"{name} does not come from the Hugging Face Hub: give a url instead")
    if card.hub:
        for index, folder in enumerate(card.hub):
            fetch_folder(folder, model_folder(name), repository if index == 0 else None)
        verify(name)
        return [card.path(file) for file in card.files]
    paths = []
    for file in card.files:
        path = card.path(file)
        if not path.is_file():
            source = url or file.url
            assert source is not None
            hint = f"or place the file by hand: fetch {file.url} elsewhere and copy it to {path}"
            fetch(source, _partial(path), size=file.size, progress=progress, hint=hint)
            _check(_partial(path), file, _refuse)
            _partial(path).replace(path)
        paths.append(path)
    return paths


def verify(name: str) -> list[str]:
    """Check sizes, hashes and, for imagebind_huge, names and shapes; returns what was checked, one line a file.

    Raises ModelFileError, in one line, on the first file that is missing or not right.
    """
    card = read_model_card(name)
    lines = []
    for file in card.files:
        path = card.path(file)
        if not path.is_file():
            how = "reinstall the package" if card.bundled else f"run imagebind-node models pull {name}"
            raise ModelFileError(f"{path} is missing: {how}")
        checked = _check(path, file, lambda path: None)
        if name == "imagebind_huge":
            checked.append(_check_entries(path))
        lines.append(f"{path}: {', '.join(checked) or 'present'}")
    return lines


def _check_entries(path: Path) -> str:
    from imagebind_node.encoders.imagebind.checkpoint import check_checkpoint, open_checkpoint
    from imagebind_node.encoders.imagebind.config import HUGE
    from imagebind_node.samples import Modality

    tensors = open_checkpoint(path)
    check_checkpoint(tensors, HUGE, list(Modality), path)
    return f"{len(tensors)} names and shapes"


def _check(path: Path, file: ModelFile, refuse: Callable[[Path], Path | None]) -> list[str]:
    checked = []
    if file.size is not None:
        if path.stat().st_size != file.size:
            found = path.stat().st_size
            moved = refuse(path)
            raise ModelFileError(
                f"{file.name} has {found} bytes instead of {file.size}: it is another file or cut off, fetch it again"
                + (f" (kept as {moved})" if moved else "")
            )
        checked.append(f"{file.size} bytes")
    if file.sha256 is not None:
        found_hash = sha256(path)
        if found_hash != file.sha256:
            moved = refuse(path)
            raise ModelFileError(
                f"{file.name} has SHA-256 {found_hash} instead of {file.sha256}: it was altered on the way, "
                "fetch it again" + (f" (kept as {moved})" if moved else "")
            )
        checked.append(f"sha256 {file.sha256}")
    return checked


def _refuse(path: Path) -> Path:
    """Set a wrong download aside, so that the next attempt starts anew and never appends to it."""
    aside = path.with_suffix(".rejected")
    path.replace(aside)
    return aside


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then move it there: readers see all of it or nothing."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        temporary.replace(path)
    except OSError as error:
        raise ModelFileError(f"cannot write {path}: {error.strerror or error}; is the disk full?") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
