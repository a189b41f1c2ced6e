"""The graph as a robot runs it: driver, encoder and detector in a process each, camera 15 Hz 640x480, sound 16 kHz.

    .venv/bin/python benchmarks/graph.py                 # 60 s
    .venv/bin/python benchmarks/graph.py --seconds 20 --json

Prints sound samples lost, time from a frame's capture to the arrival of its embedding, time from the onset of a
sound to the first box (any box while the class of that sound is the query, and the first box on the right thing),
and the processor time of each process. Onsets are where the sound's level first exceeds -40 dB of its peak.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import soundfile

from imagebind_node.demo.processes import NodeProcesses
from imagebind_node.demo.scenes import Scene, load_scenes
from imagebind_node.files import read_audio, read_image
from imagebind_node.nodes.transport import use_large_shared_memory
from imagebind_node.preprocessing.audio_signal import resample, to_mono

RATE, CAMERA_HZ, WIDTH, HEIGHT = 16000, 15.0, 640, 480
# The pauses outlast `cue_timeout` of the detector: a box of the sound before would hide the answer to the next one.
SOUND_SECONDS, PAUSE_SECONDS, LEAD_SECONDS = 1.5, 3.2, 2.0
TARGETS = {"samples_lost": 0, "frame_to_embedding_p95_ms": 80.0, "cue_to_box_p95_ms": 700.0}
START_SECONDS = 120.0


@dataclass
class Onset:
    """When a sound begins on the track (s) and where its thing is in the camera picture (pixels)."""

    seconds: float
    sound: str
    boxes: np.ndarray


@dataclass
class Seen:
    """What the observer received; times in ns of the system clock."""

    started: int | None = None
    frames_of_sound: int = 0
    sound_lost: int = 0
    frame_delays: list[float] = field(default_factory=list)
    sound_delays: list[float] = field(default_factory=list)
    detections: list[tuple[int, np.ndarray]] = field(default_factory=list)
    encoder_audio: dict[str, str] = field(default_factory=dict)
    encoder_vision: dict[str, str] = field(default_factory=dict)


def make_track(scene: Scene, seconds: float, scale: float) -> tuple[np.ndarray, list[Onset]]:
    """The scene's sounds, cut to their onset, one after the other with pauses until `seconds` are full."""
    sounds = []
    for cue in scene.cues:
        sample = read_audio(cue.sound)
        data = resample(to_mono(sample.data), sample.sample_rate, RATE)
        level = np.sqrt(np.square(data[: len(data) // 160 * 160].reshape(-1, 160)).mean(1))
        first = int(np.argmax(level > 0.01 * level.max())) * 160
        sounds.append((cue, data[first : first + round(SOUND_SECONDS * RATE)]))
    parts, onsets, position, index = [np.zeros(round(LEAD_SECONDS * RATE), np.float32)], [], LEAD_SECONDS, 0
    while position + SOUND_SECONDS + PAUSE_SECONDS < seconds:
        cue, data = sounds[index % len(sounds)]
        boxes = np.asarray(scene.things[cue.thing], np.float32) * scale
        onsets.append(Onset(position, cue.sound.stem, boxes))
        # Pauses of changing length: onsets fall at every phase of hop and frame.
        pause = PAUSE_SECONDS + 0.037 * (index % 10)
        parts += [data, np.zeros(round(pause * RATE), np.float32)]
        position += (len(data) + round(pause * RATE)) / RATE
        index += 1
    return np.concatenate(parts), onsets


class Observer:
    """Listens like any other node; runs in this process, which does nothing else meanwhile."""

    def __init__(self, namespace: str) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from imagebind_msgs.msg import Audio, Embedding
        from vision_msgs.msg import Detection2DArray

        from imagebind_node.nodes import qos
        from imagebind_node.nodes.executor import make_executor

        self.seen = Seen()
        self._rclpy = rclpy
        rclpy.init(args=[])
        self.node = rclpy.create_node("observer", namespace=namespace)
        self._executor = make_executor()
        self._executor.add_node(self.node)
        self._prefix = f"{namespace}/encoder: "
        self._next = 0
        subscribe = self.node.create_subscription
        subscribe(Audio, "audio", self._on_audio, qos.audio())
        subscribe(
            Embedding, "embedding/vision", lambda m: self.seen.frame_delays.append(_delay(m)), qos.RESULT
        )
        subscribe(
            Embedding, "embedding/audio", lambda m: self.seen.sound_delays.append(_delay(m)), qos.RESULT
        )
        subscribe(Detection2DArray, "detections", self._on_detections, qos.RESULT)
        subscribe(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._executor.shutdown(timeout_sec=1)
        self.node.destroy_node()
        self._rclpy.shutdown()

    def _spin(self) -> None:
        while not self._stop.is_set():
            self._executor.spin_once(timeout_sec=0.2)

    def _on_audio(self, message: Any) -> None:
        if self.seen.started is None:
            stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
            self.seen.started = stamp - message.sequence * 10**9 // message.sample_rate
        self.seen.sound_lost += max(0, message.sequence - self._next)
        self._next = message.sequence + len(message.data)
        self.seen.frames_of_sound += len(message.data)

    def _on_detections(self, message: Any) -> None:
        boxes = np.array([_box(d) for d in message.detections], np.float32).reshape(-1, 4)
        self.seen.detections.append((time.time_ns(), boxes))

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            if status.name == self._prefix + "audio":
                self.seen.encoder_audio = values
            elif status.name == self._prefix + "vision":
                self.seen.encoder_vision = values


def _delay(message: Any) -> float:
    return (time.time_ns() - message.header.stamp.sec * 10**9 - message.header.stamp.nanosec) / 1e6


def _box(detection: Any) -> tuple[float, float, float, float]:
    centre, width, height = detection.bbox.center.position, detection.bbox.size_x, detection.bbox.size_y
    return centre.x - width / 2, centre.y - height / 2, centre.x + width / 2, centre.y + height / 2


def cue_delays(seen: Seen, onsets: list[Onset]) -> list[dict[str, Any]]:
    """For each onset, ms until the first box at all and until the first box on the right thing (None: never)."""
    from imagebind_node.detection.detections import box_iou

    results = []
    for index, onset in enumerate(onsets):
        begin = seen.started + round(onset.seconds * 1e9)
        following = (
            onsets[index + 1].seconds if index + 1 < len(onsets) else onset.seconds + SOUND_SECONDS + 1
        )
        end = seen.started + round(following * 1e9)
        before = [boxes for when, boxes in seen.detections if begin - 4e8 < when <= begin]
        answers = [(when, boxes) for when, boxes in seen.detections if begin < when < end and len(boxes)]
        right = [when for when, boxes in answers if box_iou(boxes[:1], onset.boxes).max() >= 0.5]
        results.append(
            {
                "sound": onset.sound,
                # A box still standing from the sound before would make this delay meaningless.
                "clean": not any(len(boxes) for boxes in before),
                "first_box_ms": (answers[0][0] - begin) / 1e6 if answers else None,
                "right_box_ms": (right[0] - begin) / 1e6 if right else None,
            }
        )
    return results


def percentiles(values: list[float]) -> dict[str, float | int | None]:
    """p50, p95, largest and count."""
    if not values:
        return {"n": 0, "p50": None, "p95": None, "max": None}
    return {
        "n": len(values),
        "p50": float(np.percentile(values, 50)),
        "p95": float(np.percentile(values, 95)),
        "max": float(max(values)),
    }


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Run the graph once and return the figures."""
    scene = load_scenes()[0]
    picture = read_image(scene.image).data
    scale = WIDTH / picture.shape[1]
    namespace = f"/benchmark_{os.getpid()}"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        small = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / "scene.png"), small[..., ::-1])
        track, onsets = make_track(scene, args.seconds, scale)
        for onset in onsets:
            onset.boxes[:, 1::2] *= (HEIGHT / picture.shape[0]) / scale
        soundfile.write(folder / "track.wav", track, RATE, subtype="PCM_16")
        with NodeProcesses(namespace, folder) as processes:
            observer = Observer(namespace)
            try:
                figures = _play(args, processes, observer, folder, len(track))
            finally:
                observer.close()
    cues = cue_delays(observer.seen, onsets)
    return {**figures, "cues": cues, **_summary(observer.seen, cues, len(track))}


def _play(
    args: argparse.Namespace, processes: NodeProcesses, observer: Observer, folder: Path, frames: int
) -> dict[str, Any]:
    encoder: dict[str, object] = {"modalities": ["vision", "audio"], "threads": args.encoder_threads}
    if args.hop:
        encoder["hop"] = args.hop
    processes.start("encoder", encoder)
    processes.start("detector", {"threads": args.detector_threads, "rate": args.detector_rate})
    wanted = {"audio": 2, "camera/image_raw": 2}
    deadline = time.monotonic() + START_SECONDS
    while any(observer.node.count_subscribers(topic) < count for topic, count in wanted.items()):
        processes.require_running()
        if time.monotonic() > deadline:
            raise SystemExit("the graph did not come up")
        time.sleep(0.1)
    # Encoder and detector subscribe to the camera; encoder and this process to the sound.
    load_before = os.getloadavg()[0]
    replay = {"images": folder / "scene.png", "audio": folder / "track.wav", "rate": CAMERA_HZ}
    processes.start("replay", {**replay, "wait_for_subscribers": 60.0, "subscribers": 2})
    deadline = time.monotonic() + START_SECONDS
    while observer.seen.started is None:
        processes.require_running()
        if time.monotonic() > deadline:
            raise SystemExit("no sound came from the replay node")
        time.sleep(0.02)
    before = _processor_times()
    begun = time.monotonic()
    total = frames / RATE
    while time.monotonic() - begun < total + 2.0:
        processes.require_running()
        time.sleep(0.2)
    elapsed = time.monotonic() - begun
    after = _processor_times()
    return {
        "seconds": round(total, 1),
        "load_average_before": load_before,
        "load_average_after": os.getloadavg()[0],
        "cores": os.cpu_count(),
        "cpu_percent_of_a_core": {n: round(100 * (after[n] - before[n]) / elapsed, 1) for n in after},
    }


def _processor_times() -> dict[str, float]:
    """Seconds of processor time of each node, by its module name."""
    times = {}
    for child in psutil.Process().children():
        words = [word for word in child.cmdline() if word.startswith("imagebind_node.nodes.")]
        if words:
            used = child.cpu_times()
            times[words[0].rpartition(".")[2]] = used.user + used.system
    return times


def _summary(seen: Seen, cues: list[dict[str, Any]], frames: int) -> dict[str, Any]:
    received = int(seen.encoder_audio.get("received frames", 0))
    clean = [cue for cue in cues if cue["clean"]]
    return {
        "sound_frames_sent": frames,
        "sound_frames_at_encoder": received,
        "samples_lost": max(frames - received, int(seen.encoder_audio.get("lost frames", frames))),
        "samples_lost_in_gaps": int(seen.encoder_audio.get("lost frames", frames)),
        "samples_lost_at_observer": frames - seen.frames_of_sound,
        "frames_received_by_encoder": int(seen.encoder_vision.get("received", 0)),
        "frame_to_embedding_ms": percentiles(seen.frame_delays),
        "sound_to_embedding_ms": percentiles(seen.sound_delays),
        "cues_played": len(cues),
        "cues_after_silence": len(clean),
        "cues_answered": sum(cue["first_box_ms"] is not None for cue in clean),
        "cues_right": sum(cue["right_box_ms"] is not None for cue in clean),
        "cue_to_box_ms": percentiles([c["first_box_ms"] for c in clean if c["first_box_ms"] is not None]),
        "cue_to_right_box_ms": percentiles(
            [c["right_box_ms"] for c in clean if c["right_box_ms"] is not None]
        ),
        "targets": TARGETS,
    }


def print_table(figures: dict[str, Any]) -> None:
    """For people."""
    print(
        f"{figures['seconds']} s, {figures['cores']} cores, load average {figures['load_average_before']:.1f} before "
        f"and {figures['load_average_after']:.1f} after"
    )
    print(
        f"sound samples: {figures['sound_frames_sent']} sent, {figures['sound_frames_at_encoder']} at the encoder, "
        f"{figures['samples_lost']} lost (target 0), {figures['samples_lost_in_gaps']} of them in gaps; "
        f"{figures['samples_lost_at_observer']} lost at the observer"
    )
    print(f"camera frames received by the encoder: {figures['frames_received_by_encoder']}")
    print(f"{'ms':32}{'n':>6}{'p50':>9}{'p95':>9}{'max':>9}   target p95")
    for name, target in (
        ("frame_to_embedding_ms", "80"),
        ("sound_to_embedding_ms", ""),
        ("cue_to_box_ms", "700"),
        ("cue_to_right_box_ms", ""),
    ):
        row = figures[name]
        numbers = "".join(
            f"{row[key]:9.1f}" if row[key] is not None else f"{'-':>9}" for key in ("p50", "p95", "max")
        )
        print(f"{name[:-3].replace('_', ' '):32}{row['n']:6}{numbers}   {target}")
    print(
        f"cues: {figures['cues_played']} played, {figures['cues_after_silence']} after silence, of which "
        f"{figures['cues_answered']} got a box and {figures['cues_right']} the right one"
    )
    cpu = ", ".join(f"{name} {value} %" for name, value in figures["cpu_percent_of_a_core"].items())
    print(f"processor, of one core: {cpu}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--hop", type=float, default=0.0, help="of the encoder, s; 0: its default")
    parser.add_argument("--encoder-threads", type=int, default=0)
    parser.add_argument("--detector-threads", type=int, default=0)
    parser.add_argument("--detector-rate", type=float, default=5.0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    use_large_shared_memory()
    figures = measure(args)
    if args.json:
        print(json.dumps(figures, indent=1))
    else:
        print_table(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
