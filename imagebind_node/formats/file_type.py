"""What kind of file is it: by the ending of its name, else by its first bytes."""

from __future__ import annotations

from pathlib import Path

from imagebind_node.formats.bounded import decoding, regular_file

IMAGE_SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".png",
        ".webp",
        ".bmp",
        ".gif",
        ".ppm",
        ".pgm",
        ".pnm",
        ".tif",
        ".tiff",
    ]
)
VIDEO_SUFFIXES = frozenset([".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".ogv"])
AUDIO_SUFFIXES = frozenset(
    [
        ".wav",
        ".wave",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".aif",
        ".aiff",
        ".au",
        ".caf",
    ]
)

_MAGIC = {
    "image": (
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"GIF8",
        b"BM",
        b"II*\x00",
        b"MM\x00*",
    ),
    "audio": (b"OggS", b"fLaC", b"ID3", b"FORM"),
    "video": (b"\x1aE\xdf\xa3",),
}


def kind_of(path: str | Path) -> str | None:
    """'image', 'video', 'audio', 'imu', 'text' or None, by the name's ending, else by the first bytes."""
    suffix = Path(path).suffix.lower()
    for kind, suffixes in (
        ("image", IMAGE_SUFFIXES),
        ("video", VIDEO_SUFFIXES),
        ("audio", AUDIO_SUFFIXES),
        ("imu", {".csv"}),
        ("text", {".txt"}),
    ):
        if suffix in suffixes:
            return kind
    if suffix in (".npy", ".npz"):
        return None
    with (
        decoding(path, "file", "check its permissions"),
        regular_file(path, 1 << 62).open("rb") as stream,
    ):
        head = stream.read(16)
    for kind, magics in _MAGIC.items():
        if head.startswith(magics):
            return kind
    if head[:4] == b"RIFF":
        return {b"WAVE": "audio", b"WEBP": "image", b"AVI ": "video"}.get(head[8:12])
    return "video" if head[4:8] == b"ftyp" else None
