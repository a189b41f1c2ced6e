"""Files that are right, and files that are not: each wrong one gives one line, and none can run code."""

import json
import os
import pickle
import shutil
import zipfile

import pytest
import torch
from imagebind_reference import CHECKPOINT
from safetensors.torch import load_file, save_file

from imagebind_node.encoders.base import load_encoder
from imagebind_node.encoders.imagebind import conversion
from imagebind_node.encoders.imagebind.config import read_config
from imagebind_node.encoders.imagebind.encoder import load_imagebind, load_reference
from imagebind_node.errors import InvalidInputError, ModelFileError, UnsupportedModalityError
from imagebind_node.samples import Modality

CONFIG = CHECKPOINT.with_suffix(".json")


@pytest.fixture(scope="module")
def weights():
    return load_file(CHECKPOINT)


@pytest.fixture
def official(tmp_path, weights):
    """The reference weights in the official file format."""
    path = tmp_path / "small.pth"
    torch.save(weights, path)
    return path


def load(path, **options):
    return load_imagebind(path, config=CONFIG, **options)


def one_line(error) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def test_official_format_gives_the_original_outputs(official, inputs, outputs):
    encoder = load(official, modalities=["depth", "text"])
    for modality in (Modality.DEPTH, Modality.TEXT):
        found = encoder.forward_scaled(modality, inputs[modality.value])
        assert (found - outputs[modality.value]).abs().max() <= 1e-4


def test_only_the_asked_for_towers_are_built_and_converted(official, cache):
    encoder = load(official, modalities=["imu"], precision="int8")
    assert encoder.modalities == {Modality.IMU}
    assert list(encoder.network.towers) == ["imu"]
    assert [path.name for path in cache.rglob("*.safetensors")] == ["imu.int8.safetensors"]
    with pytest.raises(UnsupportedModalityError, match="no text tower loaded"):
        encoder.forward(Modality.TEXT, torch.zeros(1, 77, dtype=torch.int64))


def test_conversion_happens_once_and_a_damaged_conversion_is_made_again(official, cache, inputs):
    first = load(official, modalities=["depth"], precision="bf16").forward(Modality.DEPTH, inputs["depth"])
    (converted,) = cache.rglob("depth.bf16.safetensors")
    stamp = converted.stat().st_mtime_ns
    load(official, modalities=["depth"], precision="bf16")
    assert converted.stat().st_mtime_ns == stamp
    os.truncate(converted, converted.stat().st_size // 2)
    again = load(official, modalities=["depth"], precision="bf16").forward(Modality.DEPTH, inputs["depth"])
    assert torch.equal(first, again)
    assert not list(cache.rglob("*.tmp"))


def test_same_weights_same_space_other_weights_other_space(official, weights, tmp_path):
    first = load(official, modalities=["imu"])
    assert first.space.id.startswith("imagebind-")
    assert first.space.dim == 32
    copied = tmp_path / "elsewhere.pth"
    shutil.copy(official, copied)
    assert load(copied, modalities=["imu"], precision="bf16").space == first.space
    changed = {**weights, "modality_heads.imu.3.weight": weights["modality_heads.imu.3.weight"] * 2}
    torch.save(changed, tmp_path / "changed.pth")
    assert load(tmp_path / "changed.pth", modalities=["imu"]).space != first.space


def test_configuration_beside_a_safetensors_file_is_found():
    encoder = load_encoder("imagebind_huge", checkpoint=CHECKPOINT, modalities=["imu"])
    assert encoder.config == read_config(CONFIG)
    assert load_reference(CHECKPOINT, CONFIG, modalities=["imu"]).space == encoder.space


def test_safetensors_with_some_towers_loads_those(tmp_path, weights):
    part = {name: tensor for name, tensor in weights.items() if ".imu." in name}
    save_file(part, tmp_path / "part.safetensors")
    assert load(tmp_path / "part.safetensors").modalities == {Modality.IMU}
    with pytest.raises(ModelFileError, match="entries of the depth tower"):
        load(tmp_path / "part.safetensors", modalities=["depth"])


def test_missing_official_file_tells_how_to_get_it(cache):
    with pytest.raises(ModelFileError) as error:
        load_encoder("imagebind_huge", modalities=["audio"])
    message = one_line(error)
    assert "models pull imagebind_huge --accept-licence" in message
    assert str(cache / "imagebind_huge" / "imagebind_huge.pth") in message


def test_file_that_is_not_there(tmp_path):
    for name in ("a.pth", "a.safetensors"):
        with pytest.raises(ModelFileError, match="does not exist"):
            load(tmp_path / name)
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(ModelFileError):
        load(tmp_path / "folder.pth")


class _Attack:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (os.system, (f"touch {self.target}",))


@pytest.mark.parametrize("legacy", [False, True])
def test_malicious_pickle_is_refused_and_runs_nothing(tmp_path, weights, legacy):
    target, path = tmp_path / "owned", tmp_path / "evil.pth"
    name = "modality_heads.imu.0.bias"
    torch.save({**weights, name: _Attack(target)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ModelFileError) as error:
        load(path, modalities=["imu"])
    one_line(error)
    assert not target.exists()
    # The attack is real: an unguarded reader runs it.
    torch.load(path, weights_only=False)
    assert target.exists()


def test_bare_malicious_pickle_is_refused(tmp_path):
    target, path = tmp_path / "owned", tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(_Attack(target)))
    with pytest.raises(ModelFileError, match="not a PyTorch checkpoint"):
        load(path)
    assert not target.exists()


@pytest.mark.parametrize("part", [0.0, 0.001, 0.5, 0.999])
@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_truncated_file(official, tmp_path, part, kind):
    source = official if kind == "pth" else CHECKPOINT
    path = tmp_path / f"cut.{kind}"
    path.write_bytes(source.read_bytes()[: int(source.stat().st_size * part)])
    with pytest.raises(ModelFileError) as error:
        load(path, modalities=["imu"])
    assert str(path) in one_line(error)


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\xff" * 4096, b"PK\x03\x04" + b"\0" * 200])
@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_nonsense_file(tmp_path, content, kind):
    path = tmp_path / f"nonsense.{kind}"
    path.write_bytes(content)
    with pytest.raises(ModelFileError) as error:
        load(path)
    one_line(error)


def test_zip_that_is_no_checkpoint(tmp_path):
    path = tmp_path / "archive.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ModelFileError) as error:
        load(path)
    one_line(error)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}, "impossible description"),
        ({"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}, "impossible description"),
        ({"dtype": "BOGUS", "shape": [1], "data_offsets": [0, 4]}, "impossible description"),
        ({"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}, "cut off"),
        ({"dtype": "F32"}, "impossible description"),
        (7, "impossible description"),
    ],
)
def test_safetensors_header_that_lies(tmp_path, entry, message):
    header = json.dumps({"modality_heads.imu.0.bias": entry}).encode()
    path = tmp_path / "lies.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4)
    with pytest.raises(ModelFileError, match=message):
        load(path)


def test_unknown_missing_and_misshaped_entries_are_named(tmp_path, weights):
    name, path = "modality_trunks.imu.blocks.0.norm_1.weight", tmp_path / "w.pth"
    torch.save({**weights, "modality_trunks.imu.blocks.9.norm_1.weight": torch.ones(40)}, path)
    with pytest.raises(ModelFileError, match=r"1 unknown entries, for example modality_trunks.imu.blocks.9"):
        load(path, modalities=["imu"])
    torch.save({key: value for key, value in weights.items() if key != name}, path)
    with pytest.raises(ModelFileError, match=f"lacks 1 entries of the imu tower, for example {name}"):
        load(path, modalities=["imu"])
    torch.save({**weights, name: torch.ones(41)}, path)
    with pytest.raises(ModelFileError, match=rf"{name} has shape \(41,\), this configuration needs \(40,\)"):
        load(path, modalities=["imu"])
    torch.save({**weights, name: torch.ones(40, dtype=torch.int64)}, path)
    with pytest.raises(ModelFileError, match="not a float tensor"):
        load(path, modalities=["imu"])
    torch.save(list(weights.values()), path)
    with pytest.raises(ModelFileError, match="holds a list, not a state dict"):
        load(path, modalities=["imu"])
    torch.save({**weights, "modality_preprocessors.text.mask": torch.zeros(77, 77)}, path)
    with pytest.raises(ModelFileError, match="not the causal mask"):
        load(path, modalities=["text"])


def test_weights_of_another_size_than_the_configuration(official):
    with pytest.raises(ModelFileError, match="has shape|lacks"):
        load_imagebind(official, modalities=["imu"])


def test_precision_that_the_device_cannot_run():
    with pytest.raises(InvalidInputError, match="fp16 needs a CUDA device"):
        load(CHECKPOINT, modalities=["imu"], precision="fp16")
    with pytest.raises(InvalidInputError, match="int8 is for CPUs"):
        load(CHECKPOINT, modalities=["imu"], precision="int8", device="cuda:0")


def test_converted_towers_outlive_the_checkpoint(official, cache, weights):
    config = read_config(CONFIG)
    load(official, modalities=["imu"], precision="fp32")
    folder = cache / "imagebind_huge" / "towers"
    digest = conversion.digest_of(official, cache / "imagebind_huge" / "digests.json")
    official.unlink()
    again = conversion.cached_tower(None, folder, digest, config, Modality.IMU, "bf16")
    name = "modality_heads.imu.3.weight"
    assert torch.equal(again["head.project.weight"], weights[name].to(torch.bfloat16))
    with pytest.raises(ModelFileError, match=r"imagebind_huge\.pth back"):
        conversion.cached_tower(None, folder, digest, config, Modality.DEPTH, "bf16")


def test_damaged_digest_index_is_made_again(official, cache):
    first = load(official, modalities=["imu"]).space
    (cache / "imagebind_huge" / "digests.json").write_text("[1, {")
    assert load(official, modalities=["imu"]).space == first
