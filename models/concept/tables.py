"""Class tables of the `concept` model: text embeddings of what each class of each network is, at conversion time.

And the vocabulary of descriptions: the embeddings of the names of all classes, as the program's text tower gives them.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from imagebind_node.bridge.captions import class_names
from imagebind_node.embedding import Space
from imagebind_node.encoders.concept import minilm
from imagebind_node.recognition.vocabulary import Vocabulary, unique_texts

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


def _by_class(vectors: Tensor, names: list[list[str]]) -> Tensor:
    """One unit row a class: the mean of the vectors of its names, which follow each other."""
    return F.normalize(torch.stack([part.sum(0) for part in vectors.split([*map(len, names)])]), dim=-1)


def _rows(texts: Texts, names: list[list[str]]) -> Tensor:
    """One unit row a class: the mean of the embeddings of its names."""
    return _by_class(texts([name for group in names for name in group]), names)


def _sound_rows(
    texts: Texts, sources: list[list[str]], image: list, pictures: Tensor, mean: Tensor
) -> Tensor:
    """One unit row a sound class: the mean of the things that make the sound.

    A thing is the text of its name and, where `pictures` (the centred rows of the `image` classes) know it, as much
    again the middle of all picture classes of that name or kind: words alone lie beside what the image tower says.
    """
    known: dict[str, list[int]] = {}
    for index, (name, kinds) in enumerate(image):
        for word in {name.lower(), *map(str.lower, kinds)}:
            known.setdefault(word, []).append(index)
    flat = [thing for group in sources for thing in group]
    things = F.normalize(texts(flat) - mean, dim=-1)
    for index, thing in enumerate(flat):
        if thing.lower() in known:
            things[index] += F.normalize(pictures[known[thing.lower()]].mean(0), dim=-1)
    return _by_class(F.normalize(things, dim=-1), sources)


def build_tables(folder: Path, names: Path, audioset: list[str], space: Space) -> None:
    """Write tables.safetensors, classes.json and vocabulary.npz into `folder`, which holds the text tower already."""
    texts = Texts(folder)
    image, audio, coco = (_read(names / f"{name}.yaml") for name in ("imagenet", "audioset", "coco"))
    if [row[0] for row in audio] != audioset:
        raise SystemExit("names/audioset.yaml does not list the classes of the network, in their order")
    pictures = _rows(texts, [[name, *kinds[:1]] for name, kinds in image])
    # Pictures, texts and COCO classes share one centre; sounds have their own: their names lean elsewhere.
    mean = pictures.mean(0)
    pictures = F.normalize(pictures - mean, dim=-1)
    sounds = _sound_rows(texts, [sources for _, sources, _ in audio], image, pictures, mean)
    tensors = {
        "image.mean": mean,
        "image.rows": pictures,
        "coco.rows": F.normalize(_rows(texts, [[name, *kinds] for name, kinds in coco]) - mean, dim=-1),
        "audio.rows": F.normalize(sounds - sounds.mean(0), dim=-1),
    }
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
    listed = unique_texts(class_names(folder))
    rows = F.normalize(texts(listed) - mean.half().float(), dim=-1)
    Vocabulary(listed, rows.numpy(), space).save(folder / "vocabulary.npz")
