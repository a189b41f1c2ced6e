"""Weights, arrays and documents are data: nothing that reads a file of a user can be made to run code."""

from __future__ import annotations

import ast
import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from imagebind_node.bridge import Bridge
from imagebind_node.detection.null_regions import load_null_regions
from imagebind_node.embedding import Space
from imagebind_node.encoders.imagebind.checkpoint import open_checkpoint
from imagebind_node.encoders.imagebind.config import read_config
from imagebind_node.encoders.tensor_file import map_tensors
from imagebind_node.errors import ImagebindNodeError, InvalidInputError
from imagebind_node.evaluation.listing import read_list
from imagebind_node.files import read_depth, read_imu, read_thermal
from imagebind_node.formats.documents import read_json, read_yaml
from imagebind_node.memory.edge.manifest import read_manifest
from imagebind_node.query import read_embedding
from imagebind_node.recognition.class_set import read_class_set
from imagebind_node.recognition.few_shot import load_few_shot
from imagebind_node.recognition.vocabulary import Vocabulary

ROOT = Path(__file__).resolve().parents[1]
SPACE = Space("here", 4)


class Attack:
    """Unpickling it makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (os.system, (f"touch {self.target}",))


def pickled(attack) -> bytes:
    return pickle.dumps(attack)


def npy(attack) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([attack], object), allow_pickle=True)
    return stream.getvalue()


def npz(attack) -> bytes:
    stream = io.BytesIO()
    names = ("depth", "weights", "biases", "labels", "kind", "space", "regions")
    np.savez(stream, allow_pickle=True, **{name: np.array([attack], object) for name in names})
    return stream.getvalue()


def pytorch(attack, zipped: bool = True) -> bytes:
    stream = io.BytesIO()
    torch.save({"weight": attack}, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


def yaml_tag(attack) -> bytes:
    command = f"touch {attack.target}"
    return f"classes: !!python/object/apply:os.system [{command}]\nname: x\n".encode()


PAYLOADS = [pickled, npy, npz, pytorch, lambda attack: pytorch(attack, False), yaml_tag]
READERS = [
    open_checkpoint,
    map_tensors,
    read_config,
    Bridge.load,
    lambda path: load_null_regions(path, "concept", SPACE),
    load_few_shot,
    read_class_set,
    lambda path: read_list(path, {}),
    read_embedding,
    lambda path: read_manifest(path.parent),
    read_depth,
    read_thermal,
    read_imu,
    read_json,
    read_yaml,
]
NAMES = ["a.npy", "a.npz", "a.pth", "a.safetensors", "a.yaml", "memory.json"]


@pytest.mark.parametrize("payload", range(len(PAYLOADS)))
def test_hostile_files_run_nothing(tmp_path, payload):
    target = tmp_path / "ran"
    content = PAYLOADS[payload](Attack(target))
    for name in NAMES:
        folder = tmp_path / name.replace(".", "_")
        folder.mkdir()
        (folder / name).write_bytes(content)
        (folder / "memory.json").write_bytes(content)
        for reader in READERS:
            with pytest.raises(ImagebindNodeError) as caught:
                reader(folder / name)
            assert "\n" not in str(caught.value)
    assert not target.exists()


def test_the_attacks_are_real(tmp_path):
    """Readers without protection run them."""
    target = tmp_path / "ran"
    for load in (
        lambda: pickle.loads(pickled(Attack(target))),
        lambda: np.load(io.BytesIO(npy(Attack(target))), allow_pickle=True),
        lambda: np.load(io.BytesIO(npz(Attack(target))), allow_pickle=True)["depth"],
        lambda: torch.load(io.BytesIO(pytorch(Attack(target))), weights_only=False),
        lambda: torch.load(io.BytesIO(pytorch(Attack(target), False)), weights_only=False),
    ):
        load()
        assert target.exists()
        target.unlink()


def test_kept_vocabularies_are_made_again_instead(tmp_path):
    kept = tmp_path / "vocabulary.npz"
    Vocabulary(["a", "b"], np.eye(2, 4, dtype=np.float32), SPACE).save(kept)
    assert Vocabulary.load(kept, ["a", "b"], SPACE) is not None
    for content in (
        npz(Attack(tmp_path / "ran")),
        npy(Attack(tmp_path / "ran")),
        pickled(Attack(tmp_path / "ran")),
    ):
        kept.write_bytes(content)
        assert Vocabulary.load(kept, ["a", "b"], SPACE) is None
    assert not (tmp_path / "ran").exists()


def test_a_model_folder_cannot_bring_its_own_code(tmp_path):
    """`auto_map` in config.json is how folders of transformers ask for code of theirs to be imported."""
    pytest.importorskip("transformers")
    from imagebind_node.detection.owlvit import load_owlvit
    from imagebind_node.encoders.clip import load_clip

    target = tmp_path / "ran"
    (tmp_path / "own.py").write_text(f"open({str(target)!r}, 'w')\n")
    (tmp_path / "config.json").write_text('{"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}}')
    with pytest.raises(ImagebindNodeError):
        load_clip(tmp_path)
    with pytest.raises(ImagebindNodeError):
        load_owlvit(None, checkpoint=tmp_path)
    assert not target.exists()


def test_the_card_of_a_bound_tower_names_no_code_of_its_own(monkeypatch):
    pytest.importorskip("rclpy")
    from imagebind_node.nodes.measurement_input import message_type, trusted

    monkeypatch.delenv("IMAGEBIND_NODE_PLUGINS", raising=False)
    for read in ("os:system", "own:f", ":", ["os:system"], 3):
        with pytest.raises(InvalidInputError, match="asks for the code"):
            trusted(read)
    assert trusted("twist.linear.x") == "twist.linear.x"
    assert trusted(None) is None
    monkeypatch.setenv("IMAGEBIND_NODE_PLUGINS", "my_lidar, own")
    assert trusted("own:f") == "own:f"
    for name in ("os.path/msg/join", "../msg/A", "sensor_msgs/msg/", ""):
        with pytest.raises(InvalidInputError, match="no message type"):
            message_type(name)


def test_documents_are_bounded_in_size_depth_and_references(tmp_path):
    path = tmp_path / "a"
    laughs = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefghij", "bcdefghijk")
    )
    for reader, content in [
        (read_yaml, laughs),
        (read_yaml, "[" * 100_000),
        (read_yaml, "a: 2001-99-99"),
        (read_yaml, "a: \x01"),
        (read_yaml, "x" * (1 << 21)),
        (read_json, "[" * 100_000),
        (read_json, "1" * 10_000),
        (read_json, '{"a": '),
    ]:
        path.write_text(content)
        with pytest.raises(InvalidInputError) as caught:
            reader(path)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 800


def test_a_memory_cannot_name_shards_outside_its_folder(tmp_path):
    document = '{"version": 1,"space": {"id": "a", "dim": 4}, "next_number": 2,"shards": [{"name": "%s", "key": "k"}]}'
    for name in ("../../home", "/etc", "..", "a", ""):
        (tmp_path / "memory.json").write_text(document % name)
        with pytest.raises(InvalidInputError, match="no shard"):
            read_manifest(tmp_path)
    (tmp_path / "memory.json").write_text(document % "000001")
    assert read_manifest(tmp_path).shards[0].name == "000001"


# Call -> keywords without which it can run code that a file brings.
NEEDS = {
    "torch.load": {"weights_only": True},
    "np.load": {"allow_pickle": False},
    "np.lib.format.read_array": {"allow_pickle": False},
}
NEVER = {
    "pickle.load",
    "pickle.loads",
    "eval",
    "exec",
    "os.system",
    "os.popen",
    "torch.jit.load",
    "torch.hub.load",
}
# Code that the user of the command line names in order to have it run; docs/security.md lists these.
ASKED_FOR = {"torch_hub.py": ["torch.hub.load(folder, entry, source='local')"]}
NEVER |= {
    "yaml.unsafe_load",
    "yaml.full_load",
    "marshal.loads",
    "shelve.open",
    "joblib.load",
    "cv2.FileStorage",
}


def faults(source: str) -> list[str]:
    """Calls in Python source that could run code out of a file."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [ast.unparse(call) for call in calls if runs_code(call)]


def runs_code(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    given = {k.arg: k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)}
    needs = dict(NEEDS.get(name, {}))
    if name.endswith(".from_pretrained") and not name.startswith("nn."):
        if name.startswith("Auto"):
            needs["trust_remote_code"] = False
        if name.split(".")[0].endswith(("Model", "network", "Checker", "Pipeline")):
            needs["use_safetensors"] = True
    return (
        name in NEVER
        or given.get("shell") is True
        or any(given.get(key) is not value for key, value in needs.items())
        or (name == "yaml.load" and "_PlainLoader" not in ast.unparse(call))
    )


@pytest.mark.parametrize("path", sorted((ROOT / "imagebind_node").rglob("*.py")), ids=lambda p: p.stem)
def test_no_call_runs_what_a_file_says(path):
    assert faults(path.read_text(encoding="utf-8")) == ASKED_FOR.get(path.name, [])


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(p)",
        "torch.load(p, weights_only=False)",
        "np.load(p)",
        "np.load(p, allow_pickle=True)",
        "pickle.load(f)",
        "yaml.load(t, Loader=yaml.Loader)",
        "subprocess.run(c, shell=True)",
        "AutoConfig.from_pretrained(p, local_files_only=True)",
        "CLIPModel.from_pretrained(p, local_files_only=True)",
        "eval(t)",
    ],
)
def test_the_check_finds_what_it_looks_for(source):
    assert faults(source)
