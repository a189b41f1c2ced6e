"""Generator for `concept`: a small decoder that draws, at 64 pixels, what the embedding says."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from imagebind_node.embedding import Space
from imagebind_node.encoders.concept.efficientnet import EfficientNetLite0, normalise
from imagebind_node.encoders.concept.model import ConceptEncoder
from imagebind_node.encoders.concept.weights import load_network, model_dir, read_card
from imagebind_node.errors import InvalidInputError
from imagebind_node.generation.base import Picture, PictureGenerator
from imagebind_node.generation.flow import PictureFlow
from imagebind_node.generation.sampling import Judge, best, noise_for, sample
from imagebind_node.samples import Modality

if TYPE_CHECKING:
    from imagebind_node.encoders.base import Encoder

MODEL = "concept_decoder"


class Decoder(PictureGenerator):
    """Clip-art-like pictures; docs/generation.md says how well they show what was heard."""

    name = MODEL

    def __init__(
        self, encoder: ConceptEncoder, *, guidance: float | None = None, judge: float | None = None
    ) -> None:
        """encoder: its image classes judge, its text tower (if loaded) embeds negative words.

        guidance: 1 to 100, how strongly the embedding is followed; judge: 0 to 10, how strongly what the image tower
        sees pulls (at 0 it does not choose among candidates either); None: the card's. Raises InvalidInputError,
        ModelFileError.
        """
        folder = model_dir(MODEL)
        card = read_card(folder)
        sampler = card["sampler"]
        self.space = Space(card["space"]["id"], int(card["space"]["dim"]))
        self.space.require_same(encoder.space)
        self.default_steps = int(sampler["steps"])
        self._guidance = float(sampler["guidance"] if guidance is None else guidance)
        strength = float(sampler["judge"] if judge is None else judge)
        if not 1 <= self._guidance <= 100:
            raise InvalidInputError(f"guidance {self._guidance:g} is outside 1 to 100")
        if not 0 <= strength <= 10:
            raise InvalidInputError(f"judge {strength:g} is outside 0 to 10")
        self._encoder = encoder
        build = partial(PictureFlow, int(card["network"]["pictures"]))
        self._flow = cast(PictureFlow, load_network(build, folder, "decoder.safetensors"))
        self._judge, self._candidates = None, 1
        if strength > 0:
            # Not the encoder's own copy: its fused kernels have no gradient.
            network = load_network(EfficientNetLite0, encoder.folder, "image.safetensors")
            self._look = _look(network, encoder)
            self._judge = Judge(
                self._look, int(sampler["judge_side"]), strength=strength, views=int(sampler["views"])
            )
            self._candidates = int(sampler["candidates"])

    def _draw(
        self, vector: np.ndarray, seed: int, steps: int, negative: str, progress: Callable[[int], None]
    ) -> Picture:
        generator = torch.Generator().manual_seed(seed)
        away = None
        if negative:
            (words,) = self._encoder.encode(Modality.TEXT, [negative])
            away = torch.from_numpy(words.vector.copy())
        wanted = torch.from_numpy(vector.copy())
        drawn = sample(
            self._flow,
            noise_for(self._candidates, generator),
            wanted.expand(self._candidates, -1),
            steps,
            guidance=self._guidance,
            negative=away,
            judge=self._judge,
            generator=generator,
            progress=progress,
        )
        chosen = drawn[best(self._look, drawn, wanted) if self._candidates > 1 else 0]
        pixels = ((chosen.clamp(-1, 1) + 1) * 127.5).round().byte()
        return Picture(pixels.permute(1, 2, 0).contiguous().numpy(), seed)


def _look(network: torch.nn.Module, encoder: ConceptEncoder) -> Callable[[Tensor], Tensor]:
    """Pictures (B, 3, S, S), -1 to 1 -> what the image tower embeds them as, (B, 384), differentiable."""

    def look(pictures: Tensor) -> Tensor:
        return encoder.embed_image_classes(network(normalise((pictures + 1) * 127.5)))

    return look


def load(encoder: Encoder, *, guidance: float | None = None, judge: float | None = None) -> Decoder:
    """The shipped decoder. Raises ModelFileError, InvalidInputError."""
    if not isinstance(encoder, ConceptEncoder):
        raise InvalidInputError(f"{MODEL} draws embeddings of `concept`, not of {encoder.name!r}")
    return Decoder(encoder, guidance=guidance, judge=judge)
