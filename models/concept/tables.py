"""Class tables of the `concept` model: text embeddings of what each class of each network is, at conversion time."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from imagebind_node.encoders.concept import minilm

# Classes whose presence says that there is nothing to be heard.
NOISE = ("Silence", "White noise", "Pink noise", "Static", "Noise", "Environmental noise")


def _read(path: Path) -> list:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


class Texts:
    """The shipped text tower, as the tables and the program both see it."""

    def __init__(self, folder: Path) -> None:
        self._network = minilm.MiniLM().eval()
        state = load_file(folder / "text.safetensors")
        self._network.load_state_dict({name: value.float() for name, value in state.items()})
        self._tokenizer = minilm.load_tokenizer(folder / "tokenizer.json")

    @torch.inference_mode()
    def __call__(self, texts: list[str]) -> Tensor:
        rows = []
        for start in range(0, len(texts), 64):
            tokens = minilm.tokenize(self._tokenizer, texts[start : start + 64])
            rows.append(self._network(tokens, tokens != 0))
        return torch.cat(rows)


def _rows(texts: Texts, names: list[list[str]]) -> Tensor:
    """One unit row a class: the mean of the embeddings of its names."""
    flat = [name for group in names for name in group]
    vectors = iter(texts(flat))
    return F.normalize(torch.stack([sum(next(vectors) for _ in group) for group in names]), dim=-1)


def build_tables(folder: Path, names: Path, audioset: list[str]) -> None:
    """Write tables.safetensors and classes.json into `folder`, which holds the text tower already."""
    texts = Texts(folder)
    image, audio, coco = (_read(names / f"{name}.yaml") for name in ("imagenet", "audioset", "coco"))
    if [row[0] for row in audio] != audioset:
        raise SystemExit("names/audioset.yaml does not list the classes of the network, in their order")
    rows = {
        "image": _rows(texts, [[name, *kinds[:1]] for name, kinds in image]),
        "audio": _rows(texts, [sources for _, sources, _ in audio]),
        "coco": _rows(texts, [[name, *kinds] for name, kinds in coco]),
    }
    # Pictures, texts and COCO classes share one centre; sounds have their own: their names lean elsewhere.
    means = {name: rows[name].mean(0) for name in ("image", "audio")}
    tensors = {f"{name}.mean": mean for name, mean in means.items()}
    for name, table in rows.items():
        tensors[f"{name}.rows"] = F.normalize(table - means["audio" if name == "audio" else "image"], dim=-1)
    save_file(
        {name: value.half().contiguous() for name, value in tensors.items()}, folder / "tables.safetensors"
    )
    order = {name: index for index, name in enumerate(audioset)}
    families = yaml.safe_load((names / "audioset_families.yaml").read_text(encoding="utf-8"))
    classes = {
        "image": [name for name, _ in image],
        "audio": [name for name, _, _ in audio],
        "coco": [name for name, _ in coco],
        "audio_weights": [weight for _, _, weight in audio],
        "audio_noise": [order[name] for name in NOISE],
        "audio_families": [
            [order[parent], order[first], order[last]] for parent, (first, last) in families.items()
        ],
    }
    (folder / "classes.json").write_text(json.dumps(classes, indent=0, ensure_ascii=False) + "\n")
