"""The interface that every model family shares, on a family made here."""

import numpy as np
import pytest
import torch

from imagebind_node.embedding import Space
from imagebind_node.encoders import Encoder, encoder_names, load_encoder, register_encoder
from imagebind_node.errors import InvalidInputError, UnsupportedModalityError
from imagebind_node.samples import ImageSample, Modality


class MeanColour(Encoder):
    """Embeds a picture as its mean colour: small, but a true encoder."""

    name = "mean_colour"
    space = Space("mean_colour", 3)

    def __init__(self, modalities):
        self.modalities = modalities or frozenset({Modality.VISION})

    def preprocess(self, modality, sample):
        return torch.from_numpy(sample.data.astype(np.float32)).mean((0, 1))

    def forward(self, modality, batch):
        return torch.nn.functional.normalize(batch, dim=-1)


@register_encoder("mean_colour")
def _load(*, checkpoint, modalities, device, precision):
    return MeanColour(modalities)


def test_a_registered_family_loads_by_name_and_embeds():
    encoder = load_encoder("mean_colour")
    picture = ImageSample(np.full((2, 2, 3), (0, 0, 9), np.uint8), stamp=7, frame_id="camera")
    (embedding,) = encoder.encode("vision", [picture])
    assert embedding.vector.tolist() == [0, 0, 1]
    assert (embedding.space, embedding.stamp, embedding.frame_id) == (encoder.space, 7, "camera")
    assert encoder.encode(Modality.VISION, []) == []


def test_built_in_families_are_listed():
    assert {"concept", "imagebind_huge", "mean_colour"} <= set(encoder_names())


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"name": "clip"}, "unknown model 'clip'.*concept"),
        ({"name": "mean_colour", "precision": "fp8"}, "unknown precision.*bf16"),
        ({"name": "mean_colour", "modalities": ["smell"]}, "unknown modality"),
    ],
)
def test_unknown_settings_are_refused(settings, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        load_encoder(**settings)


def test_a_missing_gpu_is_named():
    if torch.cuda.is_available():
        assert load_encoder("mean_colour", device="cuda")
    else:
        with pytest.raises(InvalidInputError, match="no CUDA GPU"):
            load_encoder("mean_colour", device="cuda")


def test_a_tower_that_is_not_loaded_is_named():
    with pytest.raises(UnsupportedModalityError, match="no audio tower loaded .*vision"):
        load_encoder("mean_colour").encode("audio", [])


def test_a_bare_string_is_not_taken_for_a_list_of_paths():
    with pytest.raises(InvalidInputError, match="list"):
        load_encoder("mean_colour").encode("vision", "dog.jpg")
