"""Stretches of sound and motion around given moments, cut while the signal passes by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from imagebind_node.errors import InvalidInputError
from imagebind_node.sensors.bag import AUDIO, IMU, Recorded, sample_of

SIGNALS = (AUDIO, IMU)
# Motion is not interpolated over a hole longer than this (seconds).
LONGEST_HOLE = 0.1
Cut = tuple[int, "np.ndarray | None", dict[str, Any]]


def windows_around(messages: Iterable[Recorded], centres: np.ndarray, seconds: float) -> Iterator[Cut]:
    """(centre, array or None, facts) for each of `centres` (int64 ns, ascending), in that order.

    Sound: float32 (N,) mono of `seconds`, facts {"sample_rate"} in Hz. Motion: float64 (N, 7): seconds from the
    centre, acceleration in m/s^2, turn rate in rad/s. None where the recording has a gap, or ends, within it.
    """
    half = round(seconds * 0.5e9)
    waiting = [int(c) for c in centres]
    stretch: _Sound | _Motion | None = None
    for recorded in messages:
        if not waiting:
            return
        try:
            _, sample, extra = sample_of(recorded)
        except InvalidInputError:
            continue
        if stretch is None:
            stretch = _Sound() if recorded.kind == AUDIO else _Motion()
        value = sample if recorded.kind == AUDIO else extra
        if not stretch.fits(recorded.stamp, value, extra):
            stretch.clear()
        stretch.push(recorded.stamp, value, extra)
        while waiting and stretch.end >= waiting[0] + half:
            centre = waiting.pop(0)
            yield centre, *stretch.cut(centre, half)
        stretch.forget(waiting[0] - half if waiting else stretch.end)
    for centre in waiting:
        yield centre, None, {}


class _Sound:
    """Blocks of sound without a lost sample."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._data = np.zeros(0, np.float32)
        self._start, self._rate, self._next = 0, 0, -1

    @property
    def end(self) -> int:
        return self._start + (round(len(self._data) / self._rate * 1e9) if self._rate else 0)

    def fits(self, stamp: int, sample: Any, sequence: int) -> bool:
        return self._next in (-1, sequence) and self._rate in (0, sample.sample_rate)

    def push(self, stamp: int, sample: Any, sequence: int) -> None:
        data = sample.data if sample.data.ndim == 1 else sample.data.mean(1)
        if self._next < 0:
            self._start, self._rate = stamp, sample.sample_rate
        self._data = np.concatenate([self._data, data])
        self._next = sequence + len(data)

    def cut(self, centre: int, half: int) -> tuple[np.ndarray | None, dict[str, Any]]:
        first = round((centre - half - self._start) * self._rate / 1e9)
        count = round(2 * half * self._rate / 1e9)
        whole = first >= 0 and first + count <= len(self._data)
        return (self._data[first : first + count].copy() if whole else None), {"sample_rate": self._rate}

    def forget(self, before: int) -> None:
        # One sample stays for rounding; whole samples go, so that the start stays exact to the nanosecond.
        drop = max(int((before - self._start) * self._rate / 1e9) - 1, 0)
        drop = min(drop, len(self._data))
        self._data = self._data[drop:]
        self._start += round(drop * 1e9 / self._rate)


class _Motion:
    """Measurements without a hole."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._stamps: list[int] = []
        self._rows: list[Any] = []

    @property
    def end(self) -> int:
        return self._stamps[-1]

    def fits(self, stamp: int, row: Any, _: Any) -> bool:
        return not self._stamps or 0 < stamp - self._stamps[-1] <= LONGEST_HOLE * 1e9

    def push(self, stamp: int, row: Any, _: Any) -> None:
        self._stamps.append(stamp)
        self._rows.append(row)

    def cut(self, centre: int, half: int) -> tuple[np.ndarray | None, dict[str, Any]]:
        stamps = np.array(self._stamps, np.int64)
        first, last = np.searchsorted(stamps, [centre - half, centre + half])
        if stamps[0] > centre - half or last - first < 2:
            return None, {}
        times = (stamps[first:last] - centre) / 1e9
        return np.column_stack([times, np.array(self._rows[first:last])]), {}

    def forget(self, before: int) -> None:
        keep = max(int(np.searchsorted(self._stamps, before)) - 1, 0)
        self._stamps, self._rows = self._stamps[keep:], self._rows[keep:]
