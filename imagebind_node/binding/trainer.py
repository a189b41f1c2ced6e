"""Binding a tower to frozen anchors: `Trainer(recipe, tower, pairs).fit()`."""

from __future__ import annotations

import logging
import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from imagebind_node.binding import gradient_cache
from imagebind_node.binding.augmentations import build_augmentation
from imagebind_node.binding.batches import Batches, seed_of
from imagebind_node.binding.curves import Curves
from imagebind_node.binding.distributed import Group, current_group
from imagebind_node.binding.judge import judge
from imagebind_node.binding.loss import BindingLoss
from imagebind_node.binding.pairs import Pairs
from imagebind_node.binding.recipe import Recipe
from imagebind_node.binding.schedule import Schedule
from imagebind_node.binding.state import load_state, newest_state, save_state
from imagebind_node.errors import InvalidInputError

logger = logging.getLogger(__name__)
STATES = "states"
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Outcome:
    """tower: trained, in evaluation mode. steps: taken in all. history: an entry a step of this run: `step`, `loss`,
    `learning_rate`, `temperature`, `gradient_norm`, and now and then `validation_loss`, `validation_recall_at_1`."""

    tower: nn.Module
    steps: int
    history: list[dict[str, Any]]


class Trainer:
    """Trains `tower`, in place, so that its rows meet the anchors of `pairs`.

    tower: batch of inputs -> (B, D); its parameters with requires_grad are trained. validation: pairs to watch, of
    other groups. out: folder for states and curves, None: nothing is written. device: as PyTorch names it.
    progress: a bar on stderr. The processes of an initialised torch.distributed share each batch; random numbers
    come from the recipe's seed alone, so the same step does the same whether or not the training was interrupted.
    Raises InvalidInputError for a tower whose rows depend on the rest of the batch (batch normalisation).
    """

    def __init__(
        self,
        recipe: Recipe,
        tower: nn.Module,
        pairs: Pairs,
        *,
        validation: Pairs | None = None,
        out: str | Path | None = None,
        device: str = "cpu",
        progress: bool = False,
    ) -> None:
        if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in tower.modules()):
            raise InvalidInputError(
                "a tower with batch normalisation cannot be trained in chunks: use GroupNorm or LayerNorm"
            )
        self.recipe, self.pairs, self.validation = recipe, pairs, validation
        self.tower = tower.to(device)
        self.device, self.progress = device, progress
        self.out = None if out is None else Path(out)
        self.group: Group = current_group()
        self.schedule = Schedule(recipe.training, len(pairs), self.group.world)
        options = recipe.loss
        self.loss = BindingLoss(
            options.temperature,
            learn_temperature=options.learn_temperature,
            contrastive=options.contrastive,
            cosine=options.cosine,
        ).to(device)
        self._trained = [p for p in (*tower.parameters(), *self.loss.parameters()) if p.requires_grad]
        if not any(p.requires_grad for p in tower.parameters()):
            raise InvalidInputError("every parameter of the tower is frozen: there is nothing to train")
        self.optimizer = _optimizer(self._trained, recipe)
        kind = torch.device(device).type
        self._autocast = partial(
            torch.autocast, kind, _DTYPES[recipe.training.precision], recipe.training.precision != "fp32"
        )
        self.scaler = torch.amp.GradScaler(kind, enabled=recipe.training.precision == "fp16")
        self._stop = False

    def fit(self, *, resume: bool = False, until: int | None = None) -> Outcome:
        """Train to the end of the schedule, or `until` so many steps. resume: go on from the newest state in `out`.

        Ctrl-C and SIGTERM finish the step, save the state and raise KeyboardInterrupt. Raises InvalidInputError if
        the loss is no number, if a state is of another recipe or other data, or if `out` holds a training and
        `resume` is not set.
        """
        start = self._start(resume)
        end = self.schedule.steps if until is None else min(until, self.schedule.steps)
        curves = Curves(self.out, start) if self.out is not None and self.group.leads else None
        tower: Any = self.tower
        if self.group.world > 1:
            ids = [torch.device(self.device)] if self.device.startswith("cuda") else None
            tower = DistributedDataParallel(self.tower, device_ids=ids)
        accumulate = self.recipe.training.accumulate
        batches = Batches(
            self.pairs, self.schedule, build_augmentation(self.recipe.augmentations), self.group.rank
        ).stream(start * accumulate)
        history = []
        self.tower.train()
        bar = tqdm(
            total=self.schedule.steps,
            initial=start,
            unit="step",
            disable=not (self.progress and self.group.leads),
        )
        try:
            with self._interruptible(), bar:
                for step in range(start, end):
                    entry = self._step(step, tower, [next(batches) for _ in range(accumulate)])
                    last = step + 1 == end or self._stopped()
                    if last or self._due(step + 1):
                        entry |= self._watch()
                        self._save(step + 1)
                        self._tell(entry)
                    history.append(entry)
                    if curves is not None:
                        curves.add(entry)
                        if last or self._due(step + 1):
                            curves.flush()
                    bar.update()
                    bar.set_postfix(loss=f"{entry['loss']:.4f}", refresh=False)
                    if self._stop:
                        raise KeyboardInterrupt
        finally:
            if curves is not None:
                curves.close()
        return Outcome(self.tower.eval(), end, history)

    def _step(self, step: int, tower: Any, batches: list[tuple[Tensor, Tensor]]) -> dict[str, Any]:
        training = self.recipe.training
        rate = self.schedule.learning_rate(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        total = 0.0
        for place, (inputs, anchors) in enumerate(batches):
            chunk = training.chunk or len(inputs)
            count = -(-len(inputs) // chunk)
            number = step * len(batches) + place
            seeds = [seed_of(training.seed, number, self.group.rank, k) for k in range(count)]
            value = gradient_cache.backward(
                tower,
                self.loss,
                inputs.to(self.device),
                anchors.to(self.device),
                chunk=chunk,
                seeds=seeds,
                group=self.group,
                autocast=self._autocast,
                weight=1 / len(batches),
                scale=self.scaler.get_scale(),
                sync=place == len(batches) - 1,
            )
            total += float(value) / len(batches)
        if not math.isfinite(total):
            raise InvalidInputError(
                f"the loss is {total} at step {step}: lower the learning rate, warm up longer, or use bf16"
            )
        # Told that gradients were scaled by hand, the scaler divides them and skips steps that overflowed.
        self.scaler.scale(torch.zeros((), device=self.device))
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self._trained, training.clip or math.inf)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return {
            "step": step + 1,
            "loss": total,
            "learning_rate": rate,
            "temperature": self.loss.temperature,
            "gradient_norm": float(norm),
        }

    def _start(self, resume: bool) -> int:
        if self.out is None:
            if resume:
                raise InvalidInputError("there is nothing to resume without an output folder")
            return 0
        state = newest_state(self.out / STATES)
        if state is not None and not resume:
            raise InvalidInputError(
                f"{self.out} holds a training already: resume it, or choose another folder"
            )
        if state is None:
            return 0
        return load_state(state, self.tower, self.loss, self.optimizer, self.scaler, self._facts())

    def _facts(self) -> dict[str, Any]:
        """What a state must agree with. How often it is saved and who reads the data may change."""
        recipe = self.recipe.plain
        free = ("workers", "checkpoint_every", "keep")
        recipe["training"] = {name: v for name, v in recipe["training"].items() if name not in free}
        recipe.pop("note")
        return {"recipe": recipe, "data": self.pairs.digest, "number of processes": self.group.world}

    def _due(self, step: int) -> bool:
        every = max(1, round(self.recipe.training.checkpoint_every * self.schedule.steps_an_epoch))
        return step % every == 0

    def _save(self, step: int) -> None:
        if self.out is not None and self.group.leads:
            keep = self.recipe.training.keep
            folder = self.out / STATES
            save_state(folder, step, self.tower, self.loss, self.optimizer, self.scaler, self._facts(), keep)
        self.group.barrier()

    def _watch(self) -> dict[str, float]:
        if self.validation is None or not self.group.leads:
            return {}
        chunk = self.recipe.training.chunk or self.schedule.batch
        found = judge(self.tower, self.validation, self.loss, chunk=chunk, device=self.device)
        return {f"validation_{name}": value for name, value in found.items()}

    def _tell(self, entry: dict[str, Any]) -> None:
        """For log files, where a bar is of no use."""
        if self.group.leads:
            facts = ", ".join(f"{name} {value:.4g}" for name, value in entry.items() if name != "step")
            logger.info("step %d of %d: %s", entry["step"], self.schedule.steps, facts)

    def _stopped(self) -> bool:
        """Whether any process was asked to stop; all then do after the same step."""
        if self.group.world > 1:
            asked = torch.tensor([float(self._stop)], device=self.device)
            torch.distributed.all_reduce(asked)
            self._stop = bool(asked.item())
        return self._stop

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        self._stop = False
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(*_: Any) -> None:
            self._stop = True

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _optimizer(parameters: list[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019); gains, biases and the temperature do not decay."""
    training = recipe.training
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": training.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, training.learning_rate, (training.betas[0], training.betas[1]))
