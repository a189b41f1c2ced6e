"""Microphones through PortAudio (sounddevice)."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from imagebind_node.errors import DeviceError, InvalidInputError, MissingDependencyError
from imagebind_node.preprocessing.audio_signal import to_mono
from imagebind_node.samples import AudioSample
from imagebind_node.sensors.base import Clock, ThreadedSensor
from imagebind_node.sensors.sample_clock import SampleClock

# Without a block for this long the device counts as lost: PortAudio itself reports a vanished device with silence.
_LOST_SECONDS = 1.0
_QUEUE_SECONDS = 10.0
_CLOSE_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class MicrophoneConfig:
    """device: PortAudio's number or part of a name, empty for the default. channels: how many to capture.

    select: which of the captured ones to keep, from 0, in this order; empty for all. downmix: deliver the mean of
    those kept as one channel. sample_rate: Hz, 0 for the device's own. block_ms: milliseconds of sound a block.
    """

    device: str = ""
    channels: int = 1
    select: tuple[int, ...] = ()
    downmix: bool = False
    sample_rate: int = 16000
    block_ms: float = 20.0
    frame_id: str = "microphone"


@dataclass(frozen=True)
class AudioBlock:
    """A block of sound; `sequence` is the index of its first frame since the driver was made."""

    sample: AudioSample
    sequence: int


def parse_channels(text: str) -> tuple[int, ...]:
    """Channel numbers separated by commas, such as "0,2" -> (0, 2). Raises InvalidInputError."""
    try:
        return tuple(int(word) for word in text.split(",")) if text.strip() else ()
    except ValueError:
        raise InvalidInputError(
            f"microphone channels {text!r} are not numbers separated by commas, such as 0,2"
        ) from None


def _sounddevice() -> Any:
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise MissingDependencyError(
            f"the microphone needs sounddevice and the PortAudio library ({error}): "
            "pip install sounddevice, apt install libportaudio2"
        ) from None
    return sounddevice


class Microphone(ThreadedSensor[AudioSample]):
    """Delivers every block of sound in order, stamped from the sound card's own time.

    Overruns are counted in `stats.lost` (frames) and leave a jump in `sequence`.
    """

    def __init__(self, config: MicrophoneConfig, clock: Clock = time.time_ns) -> None:
        if not 1 <= config.channels <= 64 or not 1.0 <= config.block_ms <= 1000.0:
            raise InvalidInputError(
                f"microphone needs 1 to 64 channels and blocks of 1 to 1000 ms, got {config.channels} channels "
                f"and {config.block_ms} ms"
            )
        if len(set(config.select)) < len(config.select) or not set(config.select) <= set(
            range(config.channels)
        ):
            raise InvalidInputError(
                f"microphone captures {config.channels} channels, numbered from 0: cannot select "
                f"{', '.join(map(str, config.select))}; raise channels, and name none twice"
            )
        super().__init__(f"microphone {config.device or 'default'}")
        self.config = config
        self.overruns = 0
        self._clock = clock
        depth = max(8, round(_QUEUE_SECONDS * 1e3 / config.block_ms))
        self._blocks: queue.Queue[AudioBlock] = queue.Queue(depth)
        self._raw: queue.SimpleQueue[tuple[np.ndarray, int, bool] | None] = queue.SimpleQueue()
        self._sequence = 0

    def read(self, timeout: float = 1.0) -> AudioBlock:
        """The next block in order; waits up to `timeout` s, then raises DeviceError."""
        try:
            return self._blocks.get(timeout=timeout)
        except queue.Empty:
            reason = f": {self.stats.last_error}" if self.stats.last_error else ""
            raise DeviceError(f"{self.name!r} delivers no sound ({self.stats.state}){reason}") from None

    def read_latest(self, max_age: float = 1.0) -> AudioSample:
        """The newest block, at most `max_age` s old; skips older ones. Raises DeviceError if none comes."""
        block = self.read(max_age)
        while not self._blocks.empty():
            block = self.read(0.0)
        return block.sample

    def _stream(self, stop: threading.Event) -> bool:
        sounddevice = _sounddevice()
        rate, stream = self._open_stream(sounddevice)
        self.stats.opened += 1
        self.stats.state = "streaming"
        try:
            self._deliver(stop, rate)
        finally:
            self._release(sounddevice, stream)
        return True

    def _open_stream(self, sounddevice: Any) -> tuple[int, Any]:
        config = self.config
        device = int(config.device) if config.device.isdigit() else config.device or None
        raw: queue.SimpleQueue[tuple[np.ndarray, int, bool] | None] = queue.SimpleQueue()
        self._raw = raw
        clock = self._clock

        def on_block(data: np.ndarray, frames: int, times: Any, status: Any) -> None:
            # PortAudio's real-time thread: copy and leave. Its clock and ours are read together, right here.
            age = times.currentTime - times.inputBufferAdcTime
            measured = clock() - round(min(max(age, 0.0), 1.0) * 1e9)
            raw.put((data.copy(), measured, bool(status.input_overflow)))

        try:
            info = sounddevice.query_devices(device, "input")
            if config.channels > info["max_input_channels"]:
                raise ValueError(
                    f"{info['name']!r} has {info['max_input_channels']} channels, asked for {config.channels}"
                )
            rate = config.sample_rate or round(info["default_samplerate"])
            stream = sounddevice.InputStream(
                device=device,
                samplerate=rate,
                channels=config.channels,
                blocksize=max(1, round(rate * config.block_ms / 1e3)),
                dtype="float32",
                callback=on_block,
                finished_callback=lambda: raw.put(None),
            )
            stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            self._refresh(sounddevice)
            text = " ".join(str(error).split())
            raise DeviceError(f"cannot open {self.name!r}: {text}") from None
        return rate, stream

    def _deliver(self, stop: threading.Event, rate: int) -> None:
        sample_clock = SampleClock(rate)
        expected: int | None = None
        while not stop.is_set():
            try:
                item = self._raw.get(timeout=_LOST_SECONDS)
            except queue.Empty:
                raise DeviceError(f"{self.name!r} stopped delivering sound") from None
            if item is None:
                raise DeviceError(f"{self.name!r} was closed by the system")
            data, measured, overrun = item
            if overrun:
                self._count_overrun(measured, expected, rate)
            stamp = sample_clock.stamp(measured, len(data))
            expected = stamp + round(len(data) / rate * 1e9)
            self._queue(data, rate, stamp)

    def _count_overrun(self, measured: int, expected: int | None, rate: int) -> None:
        """PortAudio says that frames were lost but not how many: the gap in time does."""
        self.overruns += 1
        gap = 0 if expected is None else round((measured - expected) * 1e-9 * rate)
        lost = max(1, gap)
        self.stats.lost += lost
        self._sequence += lost

    def _queue(self, data: np.ndarray, rate: int, stamp: int) -> None:
        sequence, self._sequence = self._sequence, self._sequence + len(data)
        # A broken driver may deliver NaN: silence in its place keeps the stream continuous.
        samples = np.nan_to_num(data, nan=0.0, posinf=1.0, neginf=-1.0, copy=False)
        if self.config.select:
            samples = samples[:, self.config.select]
        if self.config.downmix or samples.shape[1] == 1:
            samples = to_mono(samples)
        block = AudioBlock(AudioSample(samples, rate, stamp, self.config.frame_id), sequence)
        while True:
            try:
                self._blocks.put_nowait(block)
                break
            except queue.Full:
                # Nobody reads: keep the newest, and let the jump in sequence tell of the rest.
                self.stats.lost += len(self._blocks.get_nowait().sample.data)
        self.stats.received += len(data)

    def _release(self, sounddevice: Any, stream: Any) -> None:
        """Close the stream from a helper thread: closing a stalled device can block for ever."""

        def close() -> None:
            try:
                stream.abort(ignore_errors=True)
                stream.close(ignore_errors=True)
            except sounddevice.PortAudioError as error:
                self.stats.last_error = " ".join(str(error).split())

        helper = threading.Thread(target=close, name="close microphone", daemon=True)
        helper.start()
        helper.join(_CLOSE_SECONDS)
        if not helper.is_alive():
            self._refresh(sounddevice)

    def _refresh(self, sounddevice: Any) -> None:
        """PortAudio lists devices once: start it anew, so that one plugged in later is found."""
        with _PORTAUDIO_LOCK:
            sounddevice._terminate()
            sounddevice._initialize()


_PORTAUDIO_LOCK = threading.Lock()
