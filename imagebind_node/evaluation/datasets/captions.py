"""AudioCaps (Kim et al. 2019) and Clotho (Drossos et al. 2020): sounds with sentences, for retrieval."""

from __future__ import annotations

from pathlib import Path

from imagebind_node.errors import InvalidInputError
from imagebind_node.evaluation.datasets.base import CaptionedItem, need, read_csv
from imagebind_node.formats.file_type import AUDIO_SUFFIXES


def read_audiocaps(root: Path) -> list[CaptionedItem]:
    """test.csv (audiocap_id, youtube_id, start_time, caption) and audio/ (or test/) beside it.

    The list names videos; people store the sounds as YOUTUBEID.wav, YOUTUBEID_START.wav, YYOUTUBEID.wav or
    AUDIOCAPID.wav. Clips that are not there (videos vanish) are left out. The captions of one clip are joined.
    """
    rows = read_csv(need(root, "test.csv", what="AudioCaps"), ("audiocap_id", "youtube_id", "caption"))
    folder = next((root / name for name in ("audio", "test") if (root / name).is_dir()), root)
    captions: dict[Path, list[str]] = {}
    for row in rows:
        video, start = row["youtube_id"], row.get("start_time") or ""
        stems = (f"{video}_{start}", video, f"Y{video}", row["audiocap_id"])
        path = next((p for stem in stems if (p := _sound(folder, stem)) is not None), None)
        if path is not None:
            captions.setdefault(path, []).append(row["caption"])
    if not captions:
        raise InvalidInputError(
            f"{folder} holds none of the {len(rows)} clips that {root / 'test.csv'} lists"
        )
    return [CaptionedItem(path, tuple(texts)) for path, texts in captions.items()]


def read_clotho(root: Path) -> list[CaptionedItem]:
    """clotho_captions_evaluation.csv (file_name, caption_1 .. caption_5) and evaluation/*.wav."""
    table = need(root, "clotho_captions_evaluation.csv", what="Clotho")
    rows = read_csv(table, ("file_name", "caption_1", "caption_5"))
    items = []
    for row in rows:
        path = root / "evaluation" / row["file_name"]
        if path.is_file():
            items.append(CaptionedItem(path, tuple(row[f"caption_{i}"] for i in range(1, 6))))
    if not items:
        raise InvalidInputError(f"{root / 'evaluation'} holds none of the files that {table} lists")
    return items


def _sound(folder: Path, stem: str) -> Path | None:
    candidates = (folder / f"{stem}{suffix}" for suffix in sorted(AUDIO_SUFFIXES))
    return next((path for path in candidates if path.is_file()), None)
