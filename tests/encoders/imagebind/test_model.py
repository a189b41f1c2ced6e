import json

import pytest
import torch
from imagebind_reference import CHECKPOINT, DATA
from torch.nn import functional as F

from imagebind_node.encoders.imagebind.checkpoint import expected_shapes
from imagebind_node.encoders.imagebind.config import HUGE, config_from_constructor, read_config
from imagebind_node.encoders.imagebind.encoder import load_imagebind
from imagebind_node.encoders.imagebind.token_merging import MergeState
from imagebind_node.errors import InvalidInputError, ModelFileError
from imagebind_node.samples import Modality

REFERENCES = ("vision", "vision_video", "audio", "depth", "thermal", "imu", "text")


@pytest.mark.parametrize("name", REFERENCES)
def test_forward_equals_the_original(encoder, inputs, outputs, name):
    found = encoder.forward_scaled(Modality(name.split("_")[0]), inputs[name])
    assert (found - outputs[name]).abs().max() <= 1e-4
    assert F.cosine_similarity(found, outputs[name]).min() >= 0.99999


@pytest.mark.parametrize(("precision", "least"), [("bf16", 0.9995), ("int8", 0.999)])
@pytest.mark.parametrize("name", REFERENCES)
def test_lower_precision_stays_close(inputs, outputs, precision, least, name):
    modality = Modality(name.split("_")[0])
    encoder = load_imagebind(CHECKPOINT, modalities=[modality], precision=precision, text_cache=False)
    found = encoder.forward(modality, inputs[name])
    assert found.dtype == torch.float32
    assert F.cosine_similarity(found, outputs[name]).min() >= least
    # Rounding must have happened: an exact result would mean that the setting did nothing.
    assert (found - F.normalize(outputs[name], dim=-1)).abs().max() > 1e-6


def test_names_and_shapes_of_the_huge_model_are_the_official_ones():
    manifest = json.loads((DATA / "imagebind_huge_manifest.json").read_text())
    mine = {}
    for modality in Modality:
        mine.update(expected_shapes(HUGE, modality))
    assert {name: list(shape) for name, shape in mine.items()} == {
        k: shape for k, (shape, _) in manifest.items()
    }
    assert len(mine) == 1311


def test_still_picture_equals_video_of_the_repeated_picture(encoder, inputs):
    picture = inputs["vision"]
    video = picture.unsqueeze(2).repeat(1, 1, 2, 1, 1)
    still = encoder.forward(Modality.VISION, picture)
    assert (still - encoder.forward(Modality.VISION, video)).abs().max() < 1e-5
    changed = video.clone()
    changed[:, :, 1] = 0
    assert (still - encoder.forward(Modality.VISION, changed)).abs().max() > 1e-3


def test_clips_are_averaged_after_normalising(encoder, inputs):
    clips = inputs["audio"]
    together = encoder.forward(Modality.AUDIO, clips)
    single = torch.stack([encoder.forward(Modality.AUDIO, clips[:, i]) for i in range(clips.shape[1])])
    assert (together - F.normalize(single.mean(0), dim=-1)).abs().max() < 1e-6


def test_last_block_for_one_token_equals_all_tokens(encoder, inputs):
    for modality in (Modality.AUDIO, Modality.VISION):
        tower = encoder.network.tower(modality)
        batch = inputs["audio"][:, 0] if modality is Modality.AUDIO else inputs["vision"]
        with torch.inference_mode():
            tokens = tower.preprocessor(batch)
            assert torch.allclose(tower.trunk(tokens)[:, :1], tower.trunk.forward_one(tokens), atol=1e-6)


def test_text_behind_the_end_mark_changes_nothing(encoder, inputs):
    tokens = inputs["text"]
    changed = tokens.clone()
    for row in changed:
        end = int(row.argmax())
        row[end + 1 :] = 7
    assert torch.equal(encoder.forward(Modality.TEXT, tokens), encoder.forward(Modality.TEXT, changed))


def test_text_does_not_depend_on_its_neighbours_in_the_batch(encoder, inputs):
    tokens = inputs["text"]
    together = encoder.forward(Modality.TEXT, tokens)
    alone = torch.cat([encoder.forward(Modality.TEXT, row[None]) for row in tokens])
    assert (together - alone).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("modality", "shape"),
    [
        ("vision", (1, 3, 200, 224)),
        ("vision", (1, 3, 3, 224, 220)),
        ("audio", (1, 128, 204)),
        ("audio", (1, 1, 128, 205)),
        ("depth", (1, 3, 224, 224)),
        ("imu", (1, 6, 1999)),
        ("imu", (0, 6, 2000)),
    ],
)
def test_wrong_input_shape_is_named(encoder, modality, shape):
    with pytest.raises(InvalidInputError, match=r"shape"):
        encoder.forward(Modality(modality), torch.zeros(shape))


def test_wrong_input_type_is_named(encoder):
    with pytest.raises(InvalidInputError, match="int64 token numbers"):
        encoder.forward(Modality.TEXT, torch.zeros(1, 77))
    with pytest.raises(InvalidInputError, match="floating point"):
        encoder.forward(Modality.DEPTH, torch.zeros(1, 1, 224, 224, dtype=torch.uint8))


def test_token_merging_is_near_the_exact_result_and_drops_tokens(inputs, outputs):
    encoder = load_imagebind(CHECKPOINT, modalities=["vision"], token_merging=16)
    found = encoder.forward(Modality.VISION, inputs["vision"])
    similarity = F.cosine_similarity(found, outputs["vision"]).min()
    assert 0.98 < similarity < 0.9999999
    encoder.set_token_merging(0)
    assert (encoder.forward(Modality.VISION, inputs["vision"]) - outputs["vision"]).abs().max() < 1e-4
    with pytest.raises(InvalidInputError, match="0 or more"):
        encoder.set_token_merging(-1)


def test_merging_keeps_the_weighted_mean_and_never_touches_the_first_token():
    torch.manual_seed(0)
    tokens, key = torch.randn(2, 11, 8), torch.randn(2, 2, 11, 4)
    state = MergeState(3)
    merged = state.merge(tokens, key)
    assert merged.shape == (2, 8, 8)
    assert torch.equal(state.sizes.sum(1), torch.full((2,), 11.0))
    assert torch.allclose((merged * state.sizes[..., None]).sum(1), tokens.sum(1), atol=1e-5)
    assert torch.equal(merged[:, 0], tokens[:, 0])
    assert torch.equal(state.sizes[:, 0], torch.ones(2))


def test_merging_equal_tokens_changes_nothing():
    # Two patches that are the same count as one of size two: attention must come out exactly as before.
    torch.manual_seed(0)
    tokens = torch.randn(1, 5, 8)
    tokens[:, 2] = tokens[:, 1]
    state = MergeState(1)
    merged = state.merge(tokens, tokens[:, None])
    scores = torch.randn(8) @ tokens[0].T
    before = scores.softmax(-1) @ tokens[0]
    torch.manual_seed(0)
    torch.randn(1, 5, 8)
    scores = torch.randn(8) @ merged[0].T + state.mask(merged, False)[0, 0, 0]
    assert torch.allclose(before, scores.softmax(-1) @ merged[0], atol=1e-6)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"colour": 3}, "unknown entries: colour"),
        ({"vision_embed_dim": 0}, "vision_embed_dim must be a positive"),
        ({"vision_embed_dim": 50, "vision_num_heads": 4}, "not a multiple of 4 heads"),
        ({"kernel_size": [2, 14, 7]}, "kernel_size must be"),
        ({"audio_target_len": 100}, "audio_target_len must be 204"),
        ({"video_frames": 4}, "temporal kernel_size"),
        ({"out_embed_dim": "wide"}, "out_embed_dim must be a positive"),
    ],
)
def test_impossible_configuration_is_named(parameters, message):
    with pytest.raises(ModelFileError, match=message):
        config_from_constructor(parameters)


def test_configuration_file_that_is_no_json(tmp_path):
    path = tmp_path / "c.json"
    path.write_text("{")
    with pytest.raises(ModelFileError, match="not a readable ImageBind configuration"):
        read_config(path)
    path.write_text("[1]")
    with pytest.raises(ModelFileError, match="must be a JSON object"):
        read_config(path)
