"""The small golden ImageBind, for detectors."""

from __future__ import annotations

from pathlib import Path

from imagebind_node.encoders.imagebind.encoder import ImageBindEncoder, load_imagebind

WEIGHTS = Path(__file__).parents[1] / "data" / "imagebind" / "reference_small.safetensors"


def small_encoder(*modalities: str, **options) -> ImageBindEncoder:
    """Two blocks, 48 wide, 32-d space, patches of 14 pixels; otherwise the real network."""
    return load_imagebind(WEIGHTS, modalities=modalities or ("vision",), text_cache=False, **options)
