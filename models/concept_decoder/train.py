"""Train the decoder of `concept` on what pictures.py wrote; writes decoder.safetensors.

  python models/concept_decoder/pictures.py WORK
  python models/concept_decoder/train.py WORK --part rough --minutes 4 --last
  python models/concept_decoder/train.py WORK --part fine --minutes 15 --last
  python models/concept_decoder/train.py WORK --part none --out models/concept_decoder   # as float16

Each call goes on from WORK/PART.pt where there is one. One thread by default.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[2]))

from imagebind_node.generation.flow import COMPONENTS, EMBEDDING, GlobalPart, LocalPart, PictureFlow

# Shares of the conditions that a training picture is shown with; what is left is the picture's own embedding.
NONE, SOUND_LIKE, WITH_WORDS = 0.1, 0.2, 0.2
MOST_NOISE = 0.7
LEAST_AGREEMENT = 0.25  # cosine of words and picture from which the words are believed
SOUNDING = 0.45  # cosine to a sound class from which a picture counts as a thing that makes a sound
SOUNDING_SHARE = 3.0  # how often such a picture is drawn, others 1
BATCH = {"rough": 256, "fine": 32}
RATE = {"rough": 1.5e-3, "fine": 1e-3}
DECAY = 0.9995
# What a picture shows is decided while its large components are still in the noise, edges much later.
ROUGH_NOISE, FINE_NOISE = 1.2, 0.2


def main() -> None:
    """Train one part, or write both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--part", choices=("rough", "fine", "none"), required=True)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--last", action="store_true", help="let the learning rate fall to nothing")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write decoder.safetensors there")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    data = Pictures(args.work / "pictures.npz")
    if args.part == "rough":
        train_rough(data, args.work / "rough.pt", args.minutes * 60, args.last)
    elif args.part == "fine":
        train_fine(data, args.work, args.minutes * 60, args.last)
    if args.out is not None:
        write(data, args.work, args.out)


class Pictures:
    """The training pictures with the embeddings they may be shown with."""

    def __init__(self, path: Path) -> None:
        data = dict(np.load(path))
        self.pictures = torch.from_numpy(data["pictures"]).permute(0, 3, 1, 2).float() / 127.5 - 1
        self._vectors = {name: torch.from_numpy(data[name]) for name in ("own", "words", "sound_like")}
        self.own = self._vectors["own"]
        self._agree = (self.own * self._vectors["words"]).sum(1) > LEAST_AGREEMENT
        self._share = 1 + (SOUNDING_SHARE - 1) * (torch.from_numpy(data["sounding"]) > SOUNDING).float()
        print(
            f"{len(self.own)} pictures, {int((self._share > 1).sum())} of things that make a sound",
            flush=True,
        )

    def draw(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """`count` times: which picture, mirrored or not (0, 1), condition (384)."""
        index = torch.multinomial(self._share, count, replacement=True)
        return index, torch.randint(2, (count,)), self._conditions(index)

    def _conditions(self, index: Tensor) -> Tensor:
        """A noisy unit vector, or zeros: own embedding, with its words, or as a sound."""
        count, draw = len(index), torch.rand(len(index), 1)
        own = condition = self._vectors["own"][index]
        words = torch.where(self._agree[index, None], self._vectors["words"][index], own)
        limit = NONE
        for share, other in (
            (SOUND_LIKE, self._vectors["sound_like"][index]),
            (WITH_WORDS, words),
        ):
            mixed = own + 2 * torch.rand(count, 1) * other
            condition = torch.where((draw >= limit) & (draw < limit + share), mixed, condition)
            limit += share
        condition = F.normalize(condition, dim=-1)
        noise = torch.randn(count, EMBEDDING) / EMBEDDING**0.5
        condition = F.normalize(condition + MOST_NOISE * torch.rand(count, 1) * noise, dim=-1)
        return torch.where(draw < NONE, torch.zeros_like(condition), condition)


def moments(count: int, middle: float) -> Tensor:
    """Times at which noise is log-normally stronger than the picture, by e^middle on average (Karras et al. 2022)."""
    return torch.sigmoid(-1.3 * torch.randn(count) - middle)


def train_rough(data: Pictures, state: Path, seconds: float, last: bool) -> None:
    """The global part, on principal components: the velocity's squared error."""
    part = GlobalPart()
    if not state.exists():
        fit_basis(part, data.pictures)
    network = Trained(part, state, "rough")
    with torch.no_grad():
        one = torch.ones(1)
        components = torch.stack(
            [part.project(data.pictures, one), part.project(data.pictures.flip(3), one)], 1
        )

    def loss(batch: int) -> Tensor:
        index, mirrored, condition = data.draw(batch)
        clean, t = components[index, mirrored], moments(batch, ROUGH_NOISE)
        noisy = t[:, None] * clean + (1 - t[:, None]) * torch.randn_like(clean)
        with torch.autocast("cpu", torch.bfloat16):
            estimate = part.components(noisy, t, condition)
        return ((estimate - clean) / (1 - t[:, None]).clamp_min(0.05)).square().mean()

    network.train(loss, seconds, last)


def train_fine(data: Pictures, work: Path, seconds: float, last: bool) -> None:
    """The local part, on pictures, with the global part as it is."""
    rough = GlobalPart()
    rough.load_state_dict(torch.load(work / "rough.pt", weights_only=True)["average"])
    rough.eval().requires_grad_(False)
    part = LocalPart().to(memory_format=torch.channels_last)

    def loss(batch: int) -> Tensor:
        index, mirrored, condition = data.draw(batch)
        clean, t = data.pictures[index], moments(batch, FINE_NOISE)
        clean = torch.where(mirrored[:, None, None, None] > 0, clean.flip(3), clean)
        rest = t[:, None, None, None]
        x = rest * clean + (1 - rest) * torch.randn_like(clean)
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                estimate = rough(x, t, condition).float()
            correction = part(x, estimate, t, condition)
        return ((estimate + correction - clean) / (1 - rest).clamp_min(0.05)).square().mean()

    Trained(part, work / "fine.pt", "fine").train(loss, seconds, last)


class Trained:
    """A part, its running average and its optimiser, kept in a file."""

    def __init__(self, part: nn.Module, path: Path, name: str) -> None:
        self.part, self.path, self.name = part, path, name
        self.average, self.step = copy.deepcopy(part), 0
        self.optimizer = torch.optim.AdamW(part.parameters(), lr=RATE[name], weight_decay=0.01, fused=True)
        if path.exists():
            state = torch.load(path, weights_only=True)
            part.load_state_dict(state["part"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step = state["step"]
        torch.manual_seed(self.step)

    def train(self, loss: Callable[[int], Tensor], seconds: float, last: bool) -> None:
        """Go on for `seconds`; save at the end."""
        begun, shown, first = time.monotonic(), 0.0, self.step
        while (passed := time.monotonic() - begun) < seconds:
            rate = RATE[self.name] * min(1.0, (self.step + 1) / 200)
            for group in self.optimizer.param_groups:
                group["lr"] = rate * (1 - 0.97 * passed / seconds if last else 1.0)
            error = loss(BATCH[self.name])
            self.optimizer.zero_grad(set_to_none=True)
            error.backward()
            torch.nn.utils.clip_grad_norm_(self.part.parameters(), 1.0)
            self.optimizer.step()
            self.step += 1
            decay = min(DECAY, self.step / (self.step + 10))
            with torch.no_grad():
                torch._foreach_lerp_(list(self.average.parameters()), list(self.part.parameters()), 1 - decay)
            shown = 0.99 * shown + 0.01 * error.item()
            if self.step % 500 == 0:
                mean = shown / (1 - 0.99 ** (self.step - first))
                print(f"{self.name}: {passed:.0f} s, step {self.step}, loss {mean:.4f}", flush=True)
        torch.save(
            {
                "part": self.part.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
            },
            self.path,
        )


def fit_basis(part: GlobalPart, pictures: Tensor) -> None:
    """Principal components of the pictures and their mirror images."""
    rows = torch.cat([pictures, pictures.flip(3)]).flatten(1)
    mean = rows.mean(0)
    torch.manual_seed(0)
    _, singular, basis = torch.svd_lowrank(rows - mean, COMPONENTS, niter=3)
    deviation = singular / len(rows) ** 0.5
    left = (rows - mean).square().sum(1).mean() - deviation.square().sum()
    part.mean.copy_(mean)
    part.basis.copy_(basis.T)
    part.deviation.copy_(deviation)
    part.rest.copy_((left / (rows.shape[1] - COMPONENTS)).sqrt()[None])
    share = 100 * left / (left + deviation.square().sum())
    print(f"{share:.1f} % of the variance beyond {COMPONENTS} components", flush=True)


def write(data: Pictures, work: Path, out: Path) -> None:
    """Both averages and the pictures' components as float16; prints the hash for the card."""
    flow = PictureFlow(len(data.pictures))
    for name in ("rough", "fine"):
        getattr(flow, name).load_state_dict(torch.load(work / f"{name}.pt", weights_only=True)["average"])
    flow.recall.components.copy_(flow.rough.project(data.pictures, torch.ones(1)))
    flow.recall.embeddings.copy_(data.own)
    path = out / "decoder.safetensors"
    save_file({name: tensor.half().contiguous() for name, tensor in flow.state_dict().items()}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, sha256 {digest}")


if __name__ == "__main__":
    main()
