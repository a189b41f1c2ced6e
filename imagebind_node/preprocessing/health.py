"""One question for any sample: does it look like what the towers were trained on?"""

from __future__ import annotations

from imagebind_node.samples import (
    AudioSample,
    DepthSample,
    ImageSample,
    ImuSample,
    Sample,
    TextSample,
    ThermalSample,
    VideoSample,
)


def check_sample(sample: Sample) -> list[str]:
    """Warnings, each one line with the likely cause; empty if nothing is odd. Never raises for a valid sample."""
    if isinstance(sample, (ImageSample, VideoSample)):
        from imagebind_node.preprocessing.image import check_image

        return check_image(sample)
    if isinstance(sample, AudioSample):
        from imagebind_node.preprocessing.audio import check_audio

        return check_audio(sample)
    if isinstance(sample, DepthSample):
        from imagebind_node.preprocessing.depth import check_depth

        return check_depth(sample)
    if isinstance(sample, ThermalSample):
        from imagebind_node.preprocessing.thermal import check_thermal

        return check_thermal(sample)
    if isinstance(sample, ImuSample):
        from imagebind_node.preprocessing.imu import check_imu

        return check_imu(sample)
    assert isinstance(sample, TextSample)
    from imagebind_node.preprocessing.text import check_text

    return check_text(sample)
