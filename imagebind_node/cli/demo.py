"""The main job: a real graph finds the things that make the sounds.

Starts the replay, encoder and detector nodes as separate processes, plays the bundled scenes and sounds through
topics, listens to the graph like any other node, prints what was heard and found, and writes annotated pictures.
Exit status 1 if a right thing was not found.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagebind_node.cli.options import add_output_arguments, positive_float
from imagebind_node.cli.output import print_json, print_table
from imagebind_node.errors import DeviceError, InvalidInputError

if TYPE_CHECKING:
    from imagebind_node.demo.processes import NodeProcesses
    from imagebind_node.demo.record import Record
    from imagebind_node.demo.scenes import Scene
    from imagebind_node.demo.track import Track
    from imagebind_node.demo.verdict import SceneResult
    from imagebind_node.nodes.demo_observer import Observer

CAMERA_WIDTH, CAMERA_HEIGHT, CAMERA_RATE = 640, 480, 15.0
_START_SECONDS = 60.0
_REPLAY_SECONDS = 30.0
_TAIL_SECONDS = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("demo_out"), metavar="DIR", help="default: demo_out")
    parser.add_argument(
        "--scene", metavar="NAME", help="meadow (default), hillside or side_by_side, which are harder, or all"
    )
    parser.add_argument("--min-score", type=float, metavar="S", help="score that a box must reach")
    parser.add_argument(
        "--start-seconds",
        type=positive_float,
        default=_START_SECONDS,
        metavar="S",
        help="how long the graph may take to come up (default: 60)",
    )
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from imagebind_node.demo.scenes import load_scenes
    from imagebind_node.nodes.environment import require_ros

    require_ros()
    scenes = load_scenes()
    wanted = args.scene or scenes[0].image.stem
    chosen = [scene for scene in scenes if wanted in ("all", scene.image.stem)]
    if not chosen:
        names = ", ".join(scene.image.stem for scene in scenes)
        raise InvalidInputError(f"no scene called {args.scene!r}: use one of {names}, all")
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(f"cannot write to {args.out}: {error.strerror}") from None
    # Nobody else's graph shall see ours, nor ours theirs.
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.setdefault("ROS_LOCALHOST_ONLY", "1") if os.environ.get("ROS_DISTRO") == "humble" else None
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="imagebind_node_demo_") as scratch:
        results, pictures, counts = _play(args, chosen, Path(scratch))
    found = sum(cue.found for result in results for cue in result.cues)
    total = sum(len(result.cues) for result in results)
    if args.json:
        print_json(
            "demo",
            found=found,
            cues=total,
            seconds=time.monotonic() - started,
            scenes=[_scene_fields(result, count) for result, count in zip(results, counts)],
            pictures=[str(path) for path in pictures],
        )
    else:
        for result, count in zip(results, counts):
            _print_scene(result, count)
        print(f"\n{found} of {total} sounds found their thing, in {time.monotonic() - started:.0f} s")
        print(f"pictures: {', '.join(str(path) for path in pictures)}")
    return 0 if found == total else 1


def _play(
    args: argparse.Namespace, scenes: list[Scene], scratch: Path
) -> tuple[list[SceneResult], list[Path], list[dict[str, int]]]:
    from imagebind_node.demo.pictures import write_pictures
    from imagebind_node.demo.processes import NodeProcesses
    from imagebind_node.demo.track import write_track
    from imagebind_node.demo.verdict import judge
    from imagebind_node.nodes.demo_observer import Observer

    namespace = f"/imagebind_demo_{os.getpid()}"
    results, pictures, counts = [], [], []
    detector: dict[str, Any] = {"modalities": ["vision"]}
    if args.min_score is not None:
        detector["min_score"] = args.min_score
    with NodeProcesses(namespace, scratch) as processes, Observer(namespace) as observer:
        _say(args, f"starting the graph in {namespace}: encoder, detector, replay")
        processes.start("encoder", {"modalities": ["audio"]})
        processes.start("detector", detector)
        _wait_for(args, processes, lambda: min(_listeners(observer)) > 0)
        for scene in scenes:
            track = write_track(scene, scratch / f"{scene.image.stem}.wav")
            frame, scale = _camera_picture(scene, scratch)
            _say(args, f"playing scene {scene.image.stem}: {len(scene.cues)} sounds, {track.duration:.0f} s")
            record = _play_scene(processes, observer, frame, track)
            results.append(judge(scene, track, record, scale))
            pictures += write_pictures(results[-1], record, scale, args.out)
            counts.append(_counts(record))
    return results, pictures, counts


def _play_scene(processes: NodeProcesses, observer: Observer, frame: Path, track: Track) -> Record:
    """Stream one scene through the topics and return what the observer saw."""
    record = observer.begin()
    # The picture is repeated for as long as the sound lasts.
    # It starts when it has found this observer and the encoder or the detector on each topic.
    replay = {
        "images": frame,
        "audio": track.path,
        "rate": CAMERA_RATE,
        "wait_for_subscribers": 10.0,
        "subscribers": 2,
    }
    processes.start("replay", replay)
    deadline = time.monotonic() + track.duration + _REPLAY_SECONDS
    while record.position(time.time_ns()) < track.duration + _TAIL_SECONDS:
        processes.require_running()
        if time.monotonic() > deadline:
            raise DeviceError(f"the replay node sent no sound ({processes.last_word('replay')})")
        time.sleep(0.05)
    processes.stop("replay")
    return record


def _camera_picture(scene: Scene, scratch: Path) -> tuple[Path, float]:
    """The scene as the camera sees it, and pixels of the scene's file per pixel of it."""
    import cv2

    from imagebind_node.files import read_image

    picture = read_image(scene.image).data
    small = cv2.resize(picture, (CAMERA_WIDTH, CAMERA_HEIGHT), interpolation=cv2.INTER_AREA)
    path = scratch / f"{scene.image.stem}.png"
    cv2.imwrite(str(path), small[..., ::-1])
    return path, picture.shape[1] / CAMERA_WIDTH


def _listeners(observer: Observer) -> tuple[int, ...]:
    return (observer.subscribers("audio"), observer.subscribers("camera/image_raw"))


def _wait_for(args: argparse.Namespace, processes: NodeProcesses, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + args.start_seconds
    while not ready():
        processes.require_running()
        if time.monotonic() > deadline:
            raise DeviceError(
                f"the graph did not come up in {args.start_seconds:.0f} s: run imagebind-node doctor"
            )
        time.sleep(0.1)


def _counts(record: Record) -> dict[str, int]:
    return {
        "pictures": record.pictures,
        "sound_frames": record.sound_frames,
        "lost_sound_frames": record.lost_sound_frames,
        "audio_embeddings": len(record.heard),
        "detection_messages": len(record.seen),
    }


def _scene_fields(result: SceneResult, counts: dict[str, int]) -> dict[str, Any]:
    cues = [
        {
            "sound": cue.interval.cue.sound.name,
            "expected": cue.interval.cue.thing,
            "heard": cue.heard,
            "confidence": cue.confidence,
            "score": None if cue.seen is None else float(cue.seen.scores[0]),
            "box": None if cue.seen is None else cue.seen.boxes[0],
            "iou": cue.iou,
            "share_right": cue.hits,
            "seconds_to_first_box": cue.delay,
            "found": cue.found,
        }
        for cue in result.cues
    ]
    silence = {"messages": result.silent_messages, "with_boxes": result.silent_boxes}
    return {"scene": result.scene.image.stem, "cues": cues, "silence": silence, "counts": counts}


def _print_scene(result: SceneResult, counts: dict[str, int]) -> None:
    print(
        f"\nscene {result.scene.image.stem}: {counts['pictures']} pictures, {counts['audio_embeddings']} audio "
        f"embeddings, {counts['detection_messages']} detection messages, "
        f"{counts['lost_sound_frames']} of {counts['sound_frames']} sound samples lost"
    )
    rows = [
        (
            cue.interval.cue.sound.name,
            cue.heard,
            f"{cue.confidence:.2f}",
            cue.interval.cue.thing,
            "" if cue.seen is None else f"{cue.seen.scores[0]:.3f}",
            "none" if cue.seen is None else "[" + ", ".join(f"{v:.0f}" for v in cue.seen.boxes[0]) + "]",
            f"{cue.iou:.2f}",
            f"{100 * cue.hits:.0f} %",
            "" if cue.delay is None else f"{cue.delay:.2f}",
            "found" if cue.found else "NOT FOUND",
        )
        for cue in result.cues
    ]
    print_table(
        ("sound", "heard", "conf.", "expected", "score", "box", "IoU", "right", "first box s", ""), rows
    )
    print(f"silence: {result.silent_boxes} of {result.silent_messages} detection messages held a box")


def _say(args: argparse.Namespace, text: str) -> None:
    print(text, file=sys.stderr if args.json else sys.stdout, flush=True)
