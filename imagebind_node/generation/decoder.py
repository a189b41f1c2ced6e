"""Backend of `concept`: a small decoder that draws, at 64 pixels, what the embedding says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from imagebind_node.embedding import Space
from imagebind_node.encoders.concept.weights import load_network, model_dir, read_card
from imagebind_node.errors import InvalidInputError
from imagebind_node.generation.base import PictureGenerator, Progress
from imagebind_node.generation.flow import COEFFICIENTS, Codec, FlowNetwork, sample
from imagebind_node.samples import Modality

if TYPE_CHECKING:
    from imagebind_node.encoders.base import Encoder

MODEL = "concept_decoder"


class Decoder(PictureGenerator):
    """Clip-art-like pictures; see docs/generation.md for how well they say what was heard."""

    name = MODEL

    def __init__(self, encoder: Encoder, *, guidance: float | None = None) -> None:
        """encoder: for the embedding of negative words only. guidance: 1 or more; None: the card's."""
        folder = model_dir(MODEL)
        card = read_card(folder)
        self.space = Space(card["space"]["id"], int(card["space"]["dim"]))
        self.default_steps = int(card["sampler"]["steps"])
        self.guidance = float(card["sampler"]["guidance"] if guidance is None else guidance)
        if not 1 <= self.guidance <= 100:
            raise InvalidInputError(f"guidance {self.guidance:g} is outside 1 to 100")
        self._encoder = encoder
        self._flow = load_network(FlowNetwork, folder, "flow.safetensors")
        self._codec = load_network(Codec, folder, "codec.safetensors")

    def _draw(
        self,
        vectors: np.ndarray,
        seed: int,
        steps: int,
        negative: str,
        same_noise: bool,
        progress: Progress | None,
    ) -> list[np.ndarray]:
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(1 if same_noise else len(vectors), COEFFICIENTS, generator=generator)
        away = None
        if negative:
            self._encoder.require(Modality.TEXT)
            away = torch.from_numpy(self._encoder.encode(Modality.TEXT, [negative])[0].vector.copy())
        coefficients = sample(
            self._flow,  # type: ignore[arg-type]
            noise.repeat(len(vectors) // len(noise), 1),
            torch.from_numpy(vectors),
            steps,
            guidance=self.guidance,
            negative=away,
            progress=None if progress is None else lambda step: progress(step, steps),
        )
        with torch.inference_mode():
            pictures = self._codec(coefficients)
        bytes_ = ((pictures.clamp(-1, 1) + 1) * 127.5).round().byte()
        return list(bytes_.permute(0, 2, 3, 1).contiguous().numpy())


def load(encoder: Encoder, *, guidance: float | None = None) -> Decoder:
    """The shipped decoder. Raises ModelFileError, InvalidInputError."""
    return Decoder(encoder, guidance=guidance)
