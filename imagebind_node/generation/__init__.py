"""Pictures from embeddings of any modality: `load_generator(model).generate(embedding)`."""

from imagebind_node.generation.base import (
    GenerationCancelled,
    PictureGenerator,
    Progress,
    generator_names,
    load_generator,
)
from imagebind_node.generation.interpolation import interpolate

__all__ = [
    "GenerationCancelled",
    "PictureGenerator",
    "Progress",
    "generator_names",
    "interpolate",
    "load_generator",
]
