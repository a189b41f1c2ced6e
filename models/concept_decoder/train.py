"""Train the decoder of `concept` from pictures of Debian packages; writes decoder.safetensors.

  python models/concept_decoder/pictures.py WORK     # once: unpack, embed
  python models/concept_decoder/train.py WORK --minutes 20 --out models/concept_decoder

One thread by default. Neither Tux Paint's nor GCompris' pictures and sounds are used: they are left for evaluation.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[2]))

from imagebind_node.generation.flow import COEFFICIENTS, EMBEDDING, Codec, FlowNetwork, velocity_scale

# Shares of the conditions that a training picture is shown with; what is left is the picture's own embedding.
NONE, SOUND_LIKE, WITH_WORDS, LARGE = 0.1, 0.2, 0.2, 0.15
MOST_NOISE = 0.7
LEAST_AGREEMENT = 0.25
DECAY = 0.9995
BATCH = 256


def main() -> None:
    """Fit the basis, train the flow and the convolutions, write the weights."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument(
        "--minutes", type=float, default=20, help="for the flow; the codec takes a third of it"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--resume", type=Path, metavar="FLOW", help="go on from this flow.safetensors and the codec beside it"
    )
    parser.add_argument("--part", choices=("all", "flow", "codec"), default="all")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    data = dict(np.load(args.work / "pictures.npz"))
    pictures = torch.from_numpy(data["pictures"]).permute(0, 3, 1, 2).float() / 127.5 - 1
    codec = fit_basis(pictures)
    if args.resume is not None:
        # A flow goes with the basis that it was trained on.
        codec.load_state_dict(_read(args.resume.with_name("codec.safetensors")))
    save_file(_half(codec), args.out / "basis.safetensors")
    if args.part != "codec":
        flow = train_flow(codec, pictures, data, args.minutes * 60, args.out, args.resume)
        save_file(_half(flow), args.out / "flow.safetensors")
    if args.part != "flow":
        train_codec(codec, pictures, args.minutes * 20)
        save_file(_half(codec), args.out / "codec.safetensors")


def fit_basis(pictures: torch.Tensor) -> Codec:
    """Principal components of the pictures and their mirror images, from a random half of them where many."""
    codec = Codec()
    rows = torch.cat([pictures, pictures.flip(3)]).flatten(1)
    mean = rows.mean(0)
    _, singular, basis = torch.svd_lowrank(rows - mean, COEFFICIENTS, niter=3)
    deviation = singular / len(rows) ** 0.5
    # The square root: fine detail stays below the noise for longer and is drawn last, as it would be in pixels.
    scale = deviation.sqrt() * (deviation.square().sum() / deviation.sum() / COEFFICIENTS * 2).sqrt()
    scale = scale * ((deviation / scale).square().mean().sqrt())
    codec.mean.copy_(mean)
    codec.basis.copy_(basis.T)
    codec.scale.copy_(scale)
    left = 1 - deviation.square().sum() / (rows - mean).square().sum(1).mean()
    print(f"{len(pictures)} pictures, {100 * left:.1f} % of the variance left out", flush=True)
    return codec


def train_flow(
    codec: Codec,
    pictures: torch.Tensor,
    data: dict[str, np.ndarray],
    seconds: float,
    out: Path,
    resume: Path | None,
) -> FlowNetwork:
    """Flow matching with the estimate of the clean picture as output and the velocity's error as loss."""
    with torch.no_grad():
        coefficients = torch.stack([codec.encode(pictures), codec.encode(pictures.flip(3))], 1)
    conditions = {name: torch.from_numpy(data[name]) for name in ("own", "large", "words", "sound_like")}
    agree = (conditions["own"] * conditions["words"]).sum(1) > LEAST_AGREEMENT
    chance = torch.from_numpy(data["weight"]).float()
    flow = FlowNetwork()
    if resume is not None:
        flow.load_state_dict(_read(resume))
    average = copy.deepcopy(flow)
    optimizer = torch.optim.AdamW(flow.parameters(), lr=1e-3, weight_decay=0.01)
    start, step, shown = time.monotonic(), 0, 0.0
    while (passed := time.monotonic() - start) < seconds:
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1, (step + 1) / 200) * (1 - 0.95 * passed / seconds)
        index = torch.multinomial(chance, BATCH, replacement=True)
        clean = coefficients[index, torch.randint(2, (BATCH,))]
        condition = draw_conditions(conditions, agree, index)
        # Logit-normal times (Esser et al. 2024): the middle is where the picture is decided.
        moment = torch.sigmoid(torch.randn(BATCH) - 0.4)
        noisy = moment[:, None] * clean + (1 - moment[:, None]) * torch.randn_like(clean)
        with torch.autocast("cpu", torch.bfloat16):
            estimate = flow(noisy, moment, condition)
        error = (estimate.float() - clean) * velocity_scale(moment)[:, None]
        loss = error.square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
        optimizer.step()
        step += 1
        decay = min(DECAY, step / (step + 10))
        with torch.no_grad():
            for kept, new in zip(average.parameters(), flow.parameters()):
                kept.lerp_(new, 1 - decay)
        shown = 0.99 * shown + 0.01 * loss.item()
        if step % 1000 == 0:
            save_file(_half(average), out / "flow.safetensors")
            print(f"{passed:.0f} s, step {step}, loss {shown / (1 - 0.99**step):.4f}", flush=True)
    return average


def draw_conditions(
    conditions: dict[str, torch.Tensor], agree: torch.Tensor, index: torch.Tensor
) -> torch.Tensor:
    """One noisy unit vector (or zeros) for each picture: its own embedding, with words, or as a sound would say it."""
    draw = torch.rand(len(index), 1)
    condition = conditions["own"][index]
    limit = NONE
    for share, other in (
        (SOUND_LIKE, conditions["sound_like"][index]),
        (LARGE, conditions["large"][index]),
        (WITH_WORDS, torch.where(agree[index, None], conditions["words"][index], condition)),
    ):
        mixed = condition + 2 * torch.rand(len(index), 1) * other
        condition = torch.where((draw >= limit) & (draw < limit + share), mixed, condition)
        limit += share
    condition = F.normalize(condition, dim=-1)
    noise = torch.randn(len(index), EMBEDDING) / EMBEDDING**0.5
    condition = F.normalize(condition + MOST_NOISE * torch.rand(len(index), 1) * noise, dim=-1)
    return torch.where(draw < NONE, torch.zeros_like(condition), condition)


def train_codec(codec: Codec, pictures: torch.Tensor, seconds: float) -> None:
    """Convolutions that undo what the basis blurs: absolute error of pixels and of their differences."""
    with torch.no_grad():
        coefficients = codec.encode(pictures)
    optimizer = torch.optim.AdamW(codec.parameters(), lr=2e-3)
    start, step = time.monotonic(), 0
    while (passed := time.monotonic() - start) < seconds:
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * (1 - 0.95 * passed / seconds)
        index = torch.randint(len(pictures), (32,))
        # What the flow draws is not quite on the training pictures: noise as large as its usual error.
        noise = 0.15 * torch.rand(32, 1) * torch.randn(32, COEFFICIENTS)
        drawn, target = codec(coefficients[index] + noise), pictures[index]
        loss = F.l1_loss(drawn, target)
        for axis in (2, 3):
            loss = loss + F.l1_loss(drawn.diff(dim=axis), target.diff(dim=axis))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        step += 1
        if step % 200 == 0:
            print(f"codec: {passed:.0f} s, step {step}, loss {loss.item():.4f}", flush=True)


def _read(path: Path) -> dict[str, torch.Tensor]:
    return {name: tensor.float() for name, tensor in load_file(path).items()}


def _half(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().half().contiguous() for name, tensor in module.state_dict().items()}


if __name__ == "__main__":
    main()
