"""Audio in blocks of any size in; one model input a hop out; no sample lost unnoticed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from imagebind_node.preprocessing.audio_signal import StreamResampler, to_mono
from imagebind_node.samples import AudioSample

if TYPE_CHECKING:
    import torch

    from imagebind_node.encoders.base import StreamingFrontEnd


class AudioStream:
    """Feeds a streaming front end from audio blocks, and says when a hop of new sound is complete.

    `push` is cheap and may be called from a driver's or executor's thread; `next_input` does the work and belongs
    on the inference thread. Blocks carry the index of their first frame (`sequence`): a jump forward is counted
    in `lost_frames` and starts the window afresh, since a spectrogram across a gap would show a sound that never
    was; a block that repeats old frames is ignored and counted in `repeated_blocks` (`repeating`: so was the last one).
    """

    def __init__(self, front_end: StreamingFrontEnd, hop: float, max_backlog: float = 5.0) -> None:
        """hop: seconds of new sound a model input; max_backlog: seconds kept while inference is busy."""
        self._front_end = front_end
        self._hop = hop
        self._max_backlog = max_backlog
        self._lock = threading.Lock()
        self._pending: list[AudioSample] = []
        self._pending_seconds = 0.0
        self._next_sequence: int | None = None
        self._gap = False
        self.repeating = False
        self._resampler: StreamResampler | None = None
        self.received_frames = 0
        self.lost_frames = 0
        self.repeated_blocks = 0
        self.skipped_seconds = 0.0
        self.skipped_hops = 0

    def push(self, block: AudioSample, sequence: int | None = None) -> bool:
        """Append a block; returns True if a whole hop of new sound is waiting."""
        frames = len(block.data)
        with self._lock:
            if sequence is not None:
                expected = sequence if self._next_sequence is None else self._next_sequence
                self.repeating = expected - frames <= sequence < expected
                if self.repeating:
                    self.repeated_blocks += 1
                    return self._pending_seconds >= self._hop
                if sequence != expected:
                    # Far backwards means that the driver restarted: a new stream, nothing lost.
                    self.lost_frames += max(0, sequence - expected)
                    self._drop_pending()
                self._next_sequence = sequence + frames
            self.received_frames += frames
            self._pending.append(block)
            self._pending_seconds += block.duration
            while self._pending_seconds > self._max_backlog and len(self._pending) > 1:
                oldest = self._pending.pop(0)
                self._pending_seconds -= oldest.duration
                self.skipped_seconds += oldest.duration
                self._gap = True
            return self._pending_seconds >= self._hop

    def next_input(self) -> tuple[torch.Tensor, AudioSample, int] | None:
        """Consume what is waiting; return (model input, last block, stamp in ns of the window's end).

        None while the first window is still filling up.
        """
        with self._lock:
            # While inference is busy hops pile up: their sound goes in, but only the newest window is embedded.
            self.skipped_hops += max(0, int(self._pending_seconds / self._hop + 1e-6) - 1)
            blocks, self._pending, self._pending_seconds = self._pending, [], 0.0
            gap, self._gap = self._gap, False
        if gap:
            self._front_end.reset()
            self._resampler = None
        if not blocks:
            return None
        for block in blocks:
            self._front_end.push(self._at_model_rate(block))
        ready = self._front_end.input()
        last = blocks[-1]
        return None if ready is None else (ready, last, last.stamp + round(last.duration * 1e9))

    def _at_model_rate(self, block: AudioSample) -> np.ndarray:
        mono = to_mono(block.data)
        if block.sample_rate == self._front_end.sample_rate:
            return mono
        if self._resampler is None or self._resampler.rate_in != block.sample_rate:
            self._resampler = StreamResampler(block.sample_rate, self._front_end.sample_rate)
        return self._resampler.push(mono)

    def _drop_pending(self) -> None:
        self._pending, self._pending_seconds, self._gap = [], 0.0, True
