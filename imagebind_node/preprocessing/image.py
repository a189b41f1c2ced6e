"""Pictures and video clips for the vision tower."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate

from imagebind_node.preprocessing.clips import clip_spans
from imagebind_node.preprocessing.geometry import middle, resized_shape, without_strip_ends
from imagebind_node.samples import ImageSample, VideoSample


@dataclass(frozen=True)
class ImageParameters:
    """What the vision tower was trained on. Sources: ImageBind (Girdhar et al. 2023) and its released loader;
    mean and standard deviation are those of CLIP (Radford et al. 2021), for RGB in [0, 1]."""

    size: int = 224
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class VideoParameters:
    """Temporal and spatial sampling of the released loader: `clips` of `clip_seconds` spread over the video,
    `frames` of each, `crops` along the longer side."""

    clips: int = 5
    clip_seconds: int = 2
    frames: int = 2
    crops: int = 3


IMAGE = ImageParameters()
VIDEO = VideoParameters()


def resize_and_crop(data: np.ndarray, size: int = IMAGE.size) -> np.ndarray:
    """uint8 (H, W, 3) -> uint8 (size, size, 3): short side to `size` with Pillow's bicubic filter, middle cut out.

    Equal to torchvision's Resize and CenterCrop on a PIL picture.
    """
    data = without_strip_ends(data, *data.shape[:2])
    shape = resized_shape(data.shape[0], data.shape[1], size)
    if shape != data.shape[:2]:
        picture = Image.fromarray(np.ascontiguousarray(data))
        data = np.asarray(picture.resize(shape[::-1], Image.Resampling.BICUBIC))
    return data[middle(shape, size)]


def _normalise(pixels: torch.Tensor, parameters: ImageParameters) -> torch.Tensor:
    """float (..., 3, H, W) in [0, 1] -> zero mean, unit variance, in place."""
    mean = torch.tensor(parameters.mean).view(3, 1, 1)
    std = torch.tensor(parameters.std).view(3, 1, 1)
    return pixels.sub_(mean).div_(std)


def preprocess_image(sample: ImageSample, parameters: ImageParameters = IMAGE) -> torch.Tensor:
    """ImageSample -> float32 (3, 224, 224), normalised. Any size works, from 1x1 up."""
    square = resize_and_crop(sample.data, parameters.size)
    return _normalise(torch.from_numpy(_planes(square)).div_(255.0), parameters)


def _planes(data: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) -> float32 (3, H, W), always a copy: samples must not be written to."""
    return np.ascontiguousarray(data.transpose(2, 0, 1), dtype=np.float32)


def clip_frames(times: np.ndarray, parameters: VideoParameters = VIDEO) -> list[list[int]]:
    """Frame numbers of each clip: the first and the last frame (evenly spaced, if more) within its span.

    times: float (T,) seconds from the first frame, ascending. Videos shorter than a clip give the same frames
    for each clip; a single frame is repeated.
    """
    count = len(times)
    elapsed = float(times[-1] - times[0])
    # A frame lasts until the next one: without its own length the video would end with its last frame's start.
    rate = (count - 1) / elapsed if elapsed > 0 else 1.0
    duration = count / rate
    chosen = []
    for start, end in clip_spans(duration, parameters.clip_seconds, parameters.clips):
        first = min(ceil(rate * start), count - 1)
        stop = max(min(ceil(rate * end), count), first + 1)
        chosen.append([int(i) for i in np.linspace(first, stop - 1, parameters.frames)])
    return chosen


def preprocess_video(
    sample: VideoSample, video: VideoParameters = VIDEO, parameters: ImageParameters = IMAGE
) -> torch.Tensor:
    """VideoSample -> float32 (clips * crops, 3, frames, 224, 224), i.e. (15, 3, 2, 224, 224); average the embeddings.

    Short side to 224 bilinearly (without anti-aliasing, as the original), then three crops: left, middle, right,
    or top, middle, bottom of an upright video; crops of one clip follow each other.
    """
    size = parameters.size
    clips = clip_frames(sample.times, video)
    scaled = {}
    for index in {frame for clip in clips for frame in clip}:
        pixels = _planes(without_strip_ends(sample.data[index], *sample.data.shape[1:3]))
        frame = _short_side(torch.from_numpy(pixels)[None].div_(255.0), size)[0]
        scaled[index] = _normalise(frame, parameters)
    inputs = []
    for clip in clips:
        stacked = torch.stack([scaled[index] for index in clip], dim=1)
        inputs += [
            stacked[:, :, y : y + size, x : x + size] for x, y in _crops(stacked.shape, size, video.crops)
        ]
    return torch.stack(inputs)


def _short_side(frames: torch.Tensor, size: int) -> torch.Tensor:
    height, width = frames.shape[-2:]
    if width < height:
        shape = int(height / width * size), size
    else:
        shape = size, int(width / height * size)
    return interpolate(frames, size=shape, mode="bilinear", align_corners=False)


def _crops(shape: torch.Size, size: int, crops: int) -> list[tuple[int, int]]:
    """Offsets (x, y) of the crops, spread over the longer side; one crop is the middle."""
    height, width = shape[-2:]
    x, y = ceil((width - size) / 2), ceil((height - size) / 2)
    if crops == 1:
        return [(x, y)]
    along = [0, (y if height > width else x), (height if height > width else width) - size]
    return [(x, offset) for offset in along] if height > width else [(offset, y) for offset in along]


def check_image(sample: ImageSample | VideoSample) -> list[str]:
    """Warnings about a picture (or a video's first frame) that the vision tower was not trained on; empty if fine."""
    data = sample.data if sample.data.ndim == 3 else sample.data[0]
    height, width = data.shape[:2]
    # Brightness needs no more than a few thousand pixels.
    step = max(1, int(max(height, width) / 256))
    grey = data[::step, ::step].mean(axis=2)
    warnings = []
    if grey.std() < 3.0:
        warnings.append(f"picture is almost uniform (grey {grey.mean():.0f} of 255): is the lens covered?")
    elif np.percentile(grey, 95) < 30:
        warnings.append("picture is very dark (95 % of it below 30 of 255): raise exposure or light")
    elif (grey >= 250).mean() > 0.5:
        warnings.append("picture is overexposed (over half of it white): lower the exposure")
    if min(height, width) < 64:
        warnings.append(f"picture of {width}x{height} pixels is small: it is enlarged to {IMAGE.size}")
    if max(height, width) > 4 * min(height, width):
        warnings.append(f"picture of {width}x{height} pixels is a strip: only its middle is seen")
    return warnings
