"""Which stretches of a recording are looked at: the same rule for sound and video."""

from __future__ import annotations

from fractions import Fraction


def clip_spans(duration: float | Fraction, clip_seconds: int, clips: int) -> list[tuple[Fraction, Fraction]]:
    """Start and end in seconds of `clips` clips spread evenly from the beginning.

    Exact fractions, since truncation to samples follows. The last clip ends before the end of a longer signal
    (starts are multiples of (duration - clip) / clips): so does the original.
    """
    last_start = Fraction(max(duration - clip_seconds, 0))
    step = last_start / clips
    return [(step * i, step * i + clip_seconds) for i in range(clips)]
