"""Model folders from the Hugging Face Hub, by its own library: resumed, checked by size and hash as it does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imagebind_node.errors import MissingDependencyError, ModelFileError


@dataclass(frozen=True)
class HubFolder:
    """Part of a repository. repository: OWNER/NAME; patterns: files wanted; folder: where, below the model's own."""

    repository: str
    patterns: tuple[str, ...] = ("*",)
    revision: str = "main"
    folder: str = ""


def fetch_folder(wanted: HubFolder, place: Path, repository: str | None = None) -> None:
    """Fetch into `place`/folder. repository: another one with the same files.

    $HF_ENDPOINT names another server with the Hub's interface. Raises MissingDependencyError, ModelFileError.
    """
    try:
        from huggingface_hub import HfApi, snapshot_download
    except ImportError as error:
        raise MissingDependencyError(
            f"fetching from the Hugging Face Hub needs its library ({error}): pip install 'imagebind_node[generate]'"
        ) from error
    name, target = repository or wanted.repository, place / wanted.folder
    try:
        # Without this a repository that does not answer counts as fetched if the folder holds something already.
        HfApi().model_info(name, revision=wanted.revision)
        snapshot_download(
            name, revision=wanted.revision, allow_patterns=list(wanted.patterns), local_dir=target
        )
    except (OSError, ValueError, RuntimeError) as error:
        # The errors of its HTTP library, of the Hub and of the disk are all of these.
        line = " ".join(str(error).split())
        raise ModelFileError(
            f"cannot fetch {name} from the Hugging Face Hub ({line[:300]}): try again, give another --repository, or "
            f"copy the files to {target} by hand"
        ) from error
