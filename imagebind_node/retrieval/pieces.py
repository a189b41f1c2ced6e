"""A file or bag cut into the pieces that one embedding each stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from imagebind_node.memory.moment import Pose
from imagebind_node.retrieval.files import Source
from imagebind_node.samples import AudioSample, ImageSample, ImuSample, Modality, Sample


@dataclass(frozen=True)
class Piece:
    """sample with the stamp that the memory gets (window end for sound and IMU); name: path, with #t= seconds or
    #topic= after it; media: path of a picture that shows it, empty if there is none; pose: of the sensor, if known."""

    sample: Sample
    name: str
    media: str = ""
    pose: Pose | None = None


Window = Callable[[Modality], float]


def cut(source: Source, window: Window, every: float, pose_frame: str = "map") -> Iterator[Piece]:
    """Pieces of a source: a picture whole, a video every `every` s, sound and IMU in windows of the model.

    Files carry the time of their last change plus the offset as stamp, bags the stamps of their messages, and poses in
    `pose_frame` if they recorded tf. Raises InvalidInputError or MissingDependencyError.
    """
    from imagebind_node.files import read_audio, read_image, read_imu
    from imagebind_node.formats.movie import read_frames

    if source.kind == "image":
        yield Piece(replace(read_image(source.path), stamp=source.mtime), source.path, source.path)
    elif source.kind == "video":
        frames, times = read_frames(source.path)
        due = 0.0
        for frame, time in zip(frames, times):
            if time >= due:
                due = time + every * 0.999
                yield Piece(ImageSample(frame, source.mtime + int(time * 1e9)), f"{source.path}#t={time:.3f}")
    elif source.kind == "audio":
        sample = replace(read_audio(source.path), stamp=source.mtime)
        yield from sound_windows(sample, window(Modality.AUDIO), source.path)
    elif source.kind == "imu":
        sample_imu = replace(read_imu(source.path), stamp=source.mtime)
        yield from imu_windows(sample_imu, window(Modality.IMU), source.path)
    else:
        from imagebind_node.retrieval.bag_poses import BagPoses
        from imagebind_node.retrieval.bags import read_bag

        poses = BagPoses(source.path, pose_frame)
        for piece in read_bag(source.path, window, every):
            yield replace(piece, pose=poses.at(piece.sample.stamp, piece.sample.frame_id))


def sound_windows(sample: AudioSample, window: float, name: str, separator: str = "#") -> Iterator[Piece]:
    """Windows side by side; what is left at the end joins in as the last full window. `stamp` becomes the end."""
    length = round(window * sample.sample_rate)
    total = len(sample.data)
    if length == 0 or total <= length:
        end = sample.stamp + int(total / sample.sample_rate * 1e9)
        yield Piece(replace(sample, stamp=end), name)
        return
    starts = list(range(0, total - length + 1, length))
    if total - (starts[-1] + length) > length // 4:
        starts.append(total - length)
    for start in starts:
        end = sample.stamp + int((start + length) / sample.sample_rate * 1e9)
        piece = replace(sample, data=sample.data[start : start + length], stamp=end)
        yield Piece(piece, f"{name}{separator}t={start / sample.sample_rate:.3f}")


def imu_windows(sample: ImuSample, window: float, name: str, separator: str = "#") -> Iterator[Piece]:
    """Windows side by side, ending with the last measurement."""
    if window == 0 or sample.times[-1] - sample.times[0] <= window:
        yield Piece(sample, name)
        return
    end = float(sample.times[-1])
    ends = []
    while end - window >= sample.times[0] - 1e-6:
        ends.append(end)
        end -= window
    for end in reversed(ends):
        keep = (sample.times > end - window + 1e-6) & (sample.times <= end + 1e-6)
        if keep.sum() >= 2:
            stamp = sample.stamp - int((sample.times[-1] - end) * 1e9)
            piece = replace(sample, data=sample.data[keep], times=sample.times[keep], stamp=stamp)
            yield Piece(piece, f"{name}{separator}t={end - window - sample.times[0]:.3f}")
