"""What a pair holds -> samples that encoders and preprocessing take."""

from __future__ import annotations

import numpy as np

from imagebind_node.binding.shards import Pair
from imagebind_node.errors import InvalidInputError
from imagebind_node.formats.conversion import depth_sample, imu_sample, thermal_sample
from imagebind_node.samples import ArraySample, AudioSample, ImageSample, Modality, Sample, TextSample


def sense_of(pair: Pair, modality: Modality) -> Sample:
    """The measurement of a pair as a sample of `modality`. Raises InvalidInputError if it cannot be one."""
    if modality is Modality.AUDIO:
        rate = pair.facts.get("sample_rate")
        if not isinstance(rate, (int, float)):
            raise InvalidInputError(f"pair {pair.key}: sound without a sample_rate")
        return AudioSample(pair.sense.astype(np.float32), int(rate))
    if modality is Modality.IMU:
        return imu_sample(pair.sense)
    if modality is Modality.DEPTH:
        optics = {name: pair.facts.get(name) for name in ("focal_px", "baseline_m")}
        return depth_sample(pair.sense, **optics)
    if modality is Modality.THERMAL:
        return thermal_sample(pair.sense)
    numbers = {n: float(v) for n, v in pair.facts.items() if isinstance(v, (int, float))}
    return ArraySample(pair.sense, modality, numbers)


def anchor_of(pair: Pair, modality: Modality) -> Sample:
    """What of a pair the frozen tower embeds: picture, words or, of any other modality, the measurement."""
    if modality is Modality.VISION:
        if pair.image is None:
            raise InvalidInputError(f"pair {pair.key} has no picture: bind to another modality")
        return ImageSample(pair.image)
    if modality is Modality.TEXT:
        text = pair.facts.get("text")
        if not isinstance(text, str):
            raise InvalidInputError(f"pair {pair.key} has no words (fact `text`): bind to vision")
        return TextSample(text)
    return sense_of(pair, modality)
