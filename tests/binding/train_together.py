"""Run by torchrun: train as one of two processes and write what came out."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from problems import pairs, recipe, tower

from imagebind_node.binding.distributed import process_group
from imagebind_node.binding.recipe import Loss
from imagebind_node.binding.trainer import Trainer

out = Path(sys.argv[1])
with process_group("cpu") as group:
    assert group.world == 2
    for name, chunk in (("whole", 0), ("chunks", 3)):
        made = recipe(Loss(temperature=0.1, learn_temperature=True), chunk=chunk, accumulate=2)
        trainer = Trainer(made, tower(dropout=0.0), pairs(), validation=pairs(12, seed=2), out=out / name)
        outcome = trainer.fit()
        weights = torch.cat([p.detach().flatten() for p in outcome.tower.parameters()])
        both = group.gather(weights[None])
        assert torch.equal(both[0], both[1]), "the processes drifted apart"
        if group.leads:
            history = [{k: float(v) for k, v in entry.items()} for entry in outcome.history]
            torch.save({"tower": outcome.tower.state_dict(), "history": history}, out / f"{name}.pt")
