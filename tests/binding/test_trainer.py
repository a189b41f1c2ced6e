"""Training on a problem that can be solved; interruption and resumption; damaged and foreign states."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from problems import pairs, recipe, tower
from torch import nn

from imagebind_node.binding.curves import read_history
from imagebind_node.binding.judge import embed, ranks
from imagebind_node.binding.recipe import Loss
from imagebind_node.binding.state import newest_state
from imagebind_node.binding.trainer import Trainer
from imagebind_node.errors import InvalidInputError, ModelFileError


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values()))


def test_finds_pairs_it_was_not_trained_on():
    data = pairs(240, groups=60)
    train, test = data.split(0.25, seed=1)
    assert not set(train.groups) & set(test.groups)
    outcome = Trainer(recipe(epochs=80, batch=64), tower(dropout=0.0), train).fit()
    assert outcome.history[-1]["loss"] < 0.5 * outcome.history[0]["loss"]
    found = ranks(embed(outcome.tower, test), test.anchors)
    assert (found == 0).mean() > 0.8  # chance is 1 / 60


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_resuming_equals_no_interruption_to_the_bit(tmp_path, precision):
    """Dropout, augmentation, chunks, accumulation and a learnt temperature all on; stopped at two uneven steps."""
    made = recipe(
        Loss(temperature=0.1, learn_temperature=True), chunk=5, accumulate=2, precision=precision, epochs=9
    )
    whole = Trainer(made, tower(), pairs()).fit()
    Trainer(made, tower(), pairs(), out=tmp_path / "x").fit(until=3)
    Trainer(made, tower(seed=8), pairs(), out=tmp_path / "x").fit(resume=True, until=8)
    last = Trainer(made, tower(seed=77), pairs(), out=tmp_path / "x").fit(resume=True)
    assert whole.steps == last.steps == 14
    assert same(whole.tower, last.tower)
    written = read_history(tmp_path / "x")
    assert [e["step"] for e in written] == list(range(1, 15))
    assert [e["loss"] for e in written] == [e["loss"] for e in whole.history]
    assert written[-1]["temperature"] != pytest.approx(0.1)


def test_ctrl_c_saves_and_resumes_to_the_bit(tmp_path):
    made = recipe(epochs=30)
    whole = Trainer(made, tower(), pairs()).fit()
    trainer = Trainer(made, tower(), pairs(), out=tmp_path)
    step = trainer._step

    def interrupted(number, *rest):
        if number == 7:
            os.kill(os.getpid(), signal.SIGINT)
        return step(number, *rest)

    trainer._step = interrupted
    with pytest.raises(KeyboardInterrupt):
        trainer.fit()
    assert newest_state(tmp_path / "states").name == "step_000000008.safetensors"
    resumed = Trainer(made, tower(seed=3), pairs(), out=tmp_path).fit(resume=True)
    assert same(whole.tower, resumed.tower)


def test_workers_change_nothing():
    inside = Trainer(recipe(epochs=1), tower(), pairs()).fit()
    beside = Trainer(recipe(epochs=1, workers=2), tower(), pairs()).fit()
    assert same(inside.tower, beside.tower)


def test_chunks_and_accumulation_are_what_they_say():
    """Without dropout: chunks do not change the training, and the loss falls with accumulation as well."""
    whole = Trainer(recipe(), tower(dropout=0), pairs()).fit()
    chunks = Trainer(recipe(chunk=3), tower(dropout=0), pairs()).fit()
    for a, b in zip(whole.tower.parameters(), chunks.tower.parameters()):
        assert torch.allclose(a, b, atol=1e-4)
    accumulated = Trainer(recipe(accumulate=3), tower(dropout=0), pairs()).fit()
    assert accumulated.steps == whole.steps // 3


def test_a_student_learns_its_teacher():
    data = pairs(96, groups=96)
    made = recipe(Loss(contrastive=0.0, cosine=1.0), epochs=60, batch=32)
    outcome = Trainer(made, tower(dropout=0.0), data).fit()
    rows = embed(outcome.tower, data)
    assert (rows * data.anchors).sum(1).mean() > 0.9


def test_the_states_of_others_are_refused(tmp_path):
    Trainer(recipe(), tower(), pairs(), out=tmp_path).fit(until=2)
    with pytest.raises(InvalidInputError, match="another data"):
        Trainer(recipe(), tower(), pairs(seed=8), out=tmp_path).fit(resume=True)
    with pytest.raises(InvalidInputError, match="another recipe"):
        Trainer(recipe(learning_rate=1.0), tower(), pairs(), out=tmp_path).fit(resume=True)
    with pytest.raises(InvalidInputError, match="holds a training already"):
        Trainer(recipe(), tower(), pairs(), out=tmp_path).fit()
    Trainer(recipe(keep=5), tower(), pairs(), out=tmp_path).fit(resume=True, until=3)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-100], lambda b: b"", lambda b: b"\x80\x04cos\nsystem\n" + b]
)
def test_a_damaged_state_is_one_clear_error(tmp_path, damage):
    Trainer(recipe(), tower(), pairs(), out=tmp_path).fit(until=2)
    path = newest_state(tmp_path / "states")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelFileError, match="damaged"):
        Trainer(recipe(), tower(), pairs(), out=tmp_path).fit(resume=True)


def test_only_so_many_states_are_kept(tmp_path):
    Trainer(recipe(epochs=5, keep=2), tower(), pairs(), out=tmp_path).fit()
    assert len(list((tmp_path / "states").iterdir())) == 2


def test_a_loss_that_is_no_number_stops_the_training():
    with pytest.raises(InvalidInputError, match="loss is"):
        Trainer(recipe(learning_rate=1e30, warmup_epochs=0, clip=0.0), tower(), pairs()).fit()


def test_batch_normalisation_is_refused():
    with pytest.raises(InvalidInputError, match="GroupNorm"):
        Trainer(recipe(), nn.Sequential(nn.Linear(20, 16), nn.BatchNorm1d(16)), pairs())


def test_a_sick_input_names_its_row():
    data = pairs()
    data.samples[7, 3] = np.nan
    with pytest.raises(InvalidInputError, match="pair 7"):
        Trainer(recipe(), tower(), data).fit()


def test_trains_outside_the_main_thread():
    made = []
    thread = threading.Thread(target=lambda: made.append(Trainer(recipe(epochs=1), tower(), pairs()).fit()))
    thread.start()
    thread.join()
    assert made[0].steps == 3


def test_tensorboard_reads_the_curves(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    outcome = Trainer(recipe(), tower(), pairs(), validation=pairs(20, seed=4), out=tmp_path).fit()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert {"loss", "learning_rate", "validation_loss"} <= set(events.Tags()["scalars"])
    assert [e.value for e in events.Scalars("loss")] == pytest.approx([e["loss"] for e in outcome.history])


def test_two_processes_equal_one(tmp_path):
    """torchrun, Gloo: the same loss, gradients and weights as one process with the whole batch."""
    script = Path(__file__).with_name("train_together.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(script.parent)}
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=2",
        str(script),
    ]
    done = subprocess.run(
        [*command, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for name, chunk in (("whole", 0), ("chunks", 3)):
        made = recipe(Loss(temperature=0.1, learn_temperature=True), chunk=chunk, accumulate=2)
        alone = Trainer(made, tower(dropout=0.0), pairs()).fit()
        together = torch.load(tmp_path / f"{name}.pt", weights_only=True)
        for ours, theirs in zip(alone.history, together["history"]):
            assert theirs["loss"] == pytest.approx(ours["loss"], abs=1e-5)
            assert theirs["gradient_norm"] == pytest.approx(ours["gradient_norm"], rel=1e-4)
            assert theirs["temperature"] == pytest.approx(ours["temperature"], rel=1e-5)
        for key, value in alone.tower.state_dict().items():
            assert torch.allclose(value, together["tower"][key], atol=1e-4)
    assert read_history(tmp_path / "whole")[-1]["step"] == alone.steps
