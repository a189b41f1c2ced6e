"""Small random OWL-ViT, OWLv2 and CLIP models in the library's own format, with the real CLIP tokenizer."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import torch
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTokenizer,
    Owlv2Config,
    Owlv2ForObjectDetection,
    OwlViTConfig,
    OwlViTForObjectDetection,
)

BPE = Path(__file__).parents[2] / "models" / "imagebind_huge" / "bpe_simple_vocab_16e6.txt.gz"
VOCABULARY = 49408
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 16,
}
VISION = {
    "hidden_size": 40,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 96,
    "patch_size": 16,
}


def write_tokenizer(folder: Path) -> None:
    """The CLIP tokenizer from its published merges (Radford et al. 2021)."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    characters = [chr(b) for b in visible] + [chr(256 + n) for n in range(256 - len(visible))]
    lines = gzip.decompress(BPE.read_bytes()).decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    merges = [tuple(line.split()) for line in lines]
    words = [*characters, *(c + "</w>" for c in characters), *("".join(m) for m in merges)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    assert len(words) == VOCABULARY
    tokenizer = CLIPTokenizer(vocab={word: i for i, word in enumerate(words)}, merges=merges, pad_token="!")
    tokenizer.save_pretrained(folder)


def write_detector(folder: Path, kind: str, seed: int = 0) -> Path:
    """A random detector whose heads are spread enough to tell patches and queries apart."""
    torch.manual_seed(seed)
    config, network = {
        "owlvit": (OwlViTConfig, OwlViTForObjectDetection),
        "owlv2": (Owlv2Config, Owlv2ForObjectDetection),
    }[kind]
    model = network(config(text_config=TEXT, vision_config=VISION, projection_dim=32))
    randomise(model)
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def write_clip(folder: Path, seed: int = 1) -> Path:
    """A random CLIP."""
    torch.manual_seed(seed)
    text = {**TEXT, "max_position_embeddings": 77, "eos_token_id": 49407}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=VISION, projection_dim=24))
    randomise(model)
    model.save_pretrained(folder)
    write_tokenizer(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "image_processor_type": "CLIPImageProcessor",
                "size": {"shortest_edge": 96},
                "crop_size": {"height": 96, "width": 96},
            }
        )
    )
    return folder


def randomise(model: torch.nn.Module) -> None:
    """Default initialisation gives nearly constant outputs: draw weights of unit gain instead."""
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
        elif parameter.ndim == 1 and not parameter.eq(1).all():
            torch.nn.init.normal_(parameter, std=0.3)
