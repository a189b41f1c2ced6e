"""Binding from shards to a bound checkpoint: what `imagebind-node bind` does."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from torch import nn
from tqdm import tqdm

from imagebind_node.binding.anchors import AnchorTower
from imagebind_node.binding.bound import save_bound
from imagebind_node.binding.distributed import current_group
from imagebind_node.binding.judge import agreement, embed
from imagebind_node.binding.pairs import Pairs
from imagebind_node.binding.prepare import is_prepared, load_prepared, prepare
from imagebind_node.binding.preprocessing import build_preprocessing
from imagebind_node.binding.recipe import Recipe
from imagebind_node.binding.shards import PairShards
from imagebind_node.binding.state import newest_state
from imagebind_node.binding.towers import build_tower
from imagebind_node.binding.trainer import STATES, Trainer
from imagebind_node.errors import InvalidInputError
from imagebind_node.model_store import MODELS, read_model_card
from imagebind_node.samples import new_modality

logger = logging.getLogger(__name__)
BOUND, INPUTS, RECIPE = "bound", "inputs", "recipe.yaml"


@dataclass(frozen=True, kw_only=True)
class Run:
    """How to run a recipe. resume: go on from the newest state in `out`. until: stop after so many steps in all, to
    be resumed later. licence: of the data, for the card. device: as PyTorch names it. progress: bars on stderr."""

    out: Path
    resume: bool = False
    until: int | None = None
    licence: str = "not stated"
    device: str = "cpu"
    progress: bool = False


def bind(recipe: Recipe, data: str | Path, run: Run) -> dict[str, Any] | None:
    """Train a tower on the pairs in the folder `data` (see `PairShards`) and write `out/bound`.

    Under torchrun every process calls this, within `process_group`. Returns what the command prints, None in the
    processes that do not lead. Raises InvalidInputError, ModelFileError, SpaceMismatchError, or KeyboardInterrupt
    after a state was saved.
    """
    group = current_group()
    shards = PairShards(data)
    modality = new_modality(recipe.modality)
    build_preprocessing(recipe.preprocessing)
    anchors = AnchorTower(recipe.anchor, run.device)
    tower = build_tower(recipe.tower, anchors.space.dim, seed=recipe.training.seed)
    started = newest_state(run.out / STATES) is not None
    if started and not run.resume:
        raise InvalidInputError(f"{run.out} holds a training already: add --resume, or give another folder")
    if group.leads:
        _prepare(recipe, anchors, shards, run, started)
    group.barrier()
    pairs, left_out = load_prepared(run.out / INPUTS, anchors.space)
    training, watched = pairs["train"], pairs.get("val")
    if watched is None and recipe.training.validation > 0:
        training, watched = training.split(recipe.training.validation, recipe.training.seed)
    trainer = Trainer(
        recipe,
        tower,
        training,
        validation=watched,
        out=run.out,
        device=run.device,
        progress=run.progress,
    )
    outcome = trainer.fit(resume=run.resume, until=run.until)
    group.barrier()
    if not group.leads:
        return None
    report: dict[str, Any] = {
        "modality": str(modality),
        "space": anchors.space.id,
        "steps": outcome.steps,
        "of_steps": trainer.schedule.steps,
        "parameters": sum(p.numel() for p in tower.parameters()),
        "pairs": {split: len(found) for split, found in pairs.items()},
        "left_out": {split: reasons for split, reasons in left_out.items() if reasons},
        "loss": outcome.history[-1]["loss"] if outcome.history else None,
        "bound": None,
        "test": None,
    }
    if outcome.steps < trainer.schedule.steps:
        return report
    if "test" in pairs:
        report["test"] = judge_split(outcome.tower, pairs["test"], run.device)
    save_bound(run.out / BOUND, outcome.tower, _card(recipe, anchors, shards, run, report))
    shutil.rmtree(run.out / INPUTS, ignore_errors=True)
    return {**report, "bound": str(run.out / BOUND)}


def _prepare(recipe: Recipe, anchors: AnchorTower, shards: PairShards, run: Run, started: bool) -> None:
    """Fill `out/inputs`, unless an interrupted training has left just these there."""
    inputs = run.out / INPUTS
    if started and is_prepared(shards, inputs):
        return
    if not started:
        _write_recipe(run.out, recipe)
    shutil.rmtree(inputs, ignore_errors=True)
    prepare(
        recipe,
        anchors,
        shards,
        inputs,
        lambda pairs, what, count: tqdm(pairs, what, count, unit="pair", disable=not run.progress),
    )


def judge_split(tower: nn.Module, pairs: Pairs, device: str = "cpu") -> dict[str, Any]:
    """How well the tower meets the anchors of pairs that it never saw; see `agreement`."""
    return agreement(embed(tower, pairs, device=device), pairs.anchors, np.asarray(pairs.groups))


def _card(
    recipe: Recipe, anchors: AnchorTower, shards: PairShards, run: Run, report: dict[str, Any]
) -> dict[str, Any]:
    plain = recipe.plain
    index = shards.index
    streams = index.get("streams") or {}
    return {
        "modality": recipe.modality,
        "space": {"id": anchors.space.id, "dim": anchors.space.dim},
        "licence": f"that of the data ({run.licence}) and of the model it was bound to ({_licence_of(recipe)})",
        "anchor": plain["anchor"],
        "tower": plain["tower"],
        "preprocessing": plain["preprocessing"],
        "input": {"topic": streams.get("sense"), "type": index.get("kind"), "read": streams.get("read")},
        "data": {
            "licence": run.licence,
            "pairs": report["pairs"],
            "sha256": {split: shards.digest(split) for split in report["pairs"]},
        },
        "training": {
            "recipe_sha256": hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest(),
            "steps": report["steps"],
            "note": recipe.note,
        },
        "test": report["test"],
    }


def _licence_of(recipe: Recipe) -> str:
    model = recipe.anchor.model
    return f"{model}: {read_model_card(model).licence}" if model in MODELS else model


def _write_recipe(out: Path, recipe: Recipe) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(recipe.plain, sort_keys=False, allow_unicode=True)
        (out / RECIPE).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"cannot write to {out}: {error.strerror}") from None


def local_device(device: str) -> str:
    """`cuda` -> the GPU of this process of torchrun; anything else as it is."""
    return f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" and "LOCAL_RANK" in os.environ else device
