"""Pictures from embeddings of any modality: `load_generator(encoder).generate(embedding)`."""

from imagebind_node.generation.base import GenerationCancelled, Picture, PictureGenerator, load_generator
from imagebind_node.generation.interpolation import interpolate

__all__ = ["GenerationCancelled", "Picture", "PictureGenerator", "interpolate", "load_generator"]
