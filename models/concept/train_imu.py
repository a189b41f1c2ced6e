#!/usr/bin/env python3
"""Train the IMU network of the `concept` model, or measure the one that is shipped.

    python models/concept/train_imu.py [--downloads FOLDER]              writes imu.safetensors and its hash (a minute)
    python models/concept/train_imu.py --evaluate                        the shipped weights on the 9 people left out
    python models/concept/train_imu.py --cross-validate                  5 folds over the 21 people of the training

The 9 people of --evaluate had no part in training. Deterministic on one type of CPU.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

import hapt  # noqa: E402
from tables import Texts  # noqa: E402

from imagebind_node.encoders.base import load_encoder  # noqa: E402
from imagebind_node.encoders.concept import inertial  # noqa: E402
from imagebind_node.evaluation.statistics import bootstrap, proportion  # noqa: E402
from imagebind_node.samples import ImuSample, Modality  # noqa: E402

HELD_OUT = tuple(range(22, 31))
FOLDS = 5
EPOCHS = 15
BATCH = 128
TURN = 0.12  # standard deviation of the random rotation of a window, about 10 degrees


class Trainee(nn.Module):
    """The network with batch normalisation, which `folded` puts into the convolutions afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.network = inertial.InertialNetwork()
        self.norms = nn.ModuleList(nn.BatchNorm1d(size) for size in inertial.CHANNELS)

    def forward(self, windows: Tensor) -> Tensor:
        x = inertial.scaled(windows)
        for layer, norm in zip(self.network.layers, self.norms):
            x = F.relu(norm(layer(x)))
        return self.network.classifier(F.dropout(x.mean(2), 0.3, self.training))

    @torch.no_grad()
    def folded(self) -> inertial.InertialNetwork:
        for layer, norm in zip(self.network.layers, self.norms):
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            layer.weight *= scale[:, None, None]
            layer.bias.copy_((layer.bias - norm.running_mean) * scale + norm.bias)
        return self.network.eval()


def turned(windows: Tensor) -> Tensor:
    """Windows as a phone worn a little otherwise would give them: rotated, scaled, with noise."""
    q, _ = torch.linalg.qr(torch.randn(len(windows), 3, 3) * TURN + torch.eye(3))
    q = q * torch.sign(torch.diagonal(q, dim1=1, dim2=2))[:, None]
    moved = torch.cat([q @ windows[:, :3], q @ windows[:, 3:]], 1)
    # Only motion varies from person to person; gravity does not.
    mean = moved.mean(2, keepdim=True)
    moved = mean + (moved - mean) * (1 + 0.1 * torch.randn(len(windows), 1, 1))
    noise = torch.tensor([0.2, 0.2, 0.2, 0.02, 0.02, 0.02])[:, None]
    return moved + noise * torch.randn_like(moved)


def train(data: Tensor, labels: Tensor) -> inertial.InertialNetwork:
    """A network fitted to windows (N, 6, 128) and classes (N,)."""
    torch.manual_seed(0)
    trainee = Trainee()
    optimizer = torch.optim.AdamW(trainee.parameters(), 2e-3, weight_decay=1e-2)
    steps = EPOCHS * -(-len(data) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(EPOCHS):
        trainee.train()
        for chosen in torch.randperm(len(data)).split(BATCH):
            # Smoothed targets keep the probabilities honest on people whom the network has never seen.
            loss = F.cross_entropy(trainee(turned(data[chosen])), labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network = trainee.eval().folded()
    direction = F.normalize(data[:, :3].mean(2), dim=1)
    for index in range(inertial.CLASSES):
        bounds = torch.tensor([0.005, 0.995])
        network.lowest[index], network.highest[index] = torch.quantile(
            direction[labels == index], bounds, dim=0
        )
    return network


def caption_rows() -> Tensor:
    """(6, 384) text embeddings of the activities: the mean of their captions, centred as all texts are."""
    encoder = load_encoder("concept", modalities=[Modality.TEXT])
    texts = Texts(HERE)
    rows = [F.normalize(texts(list(captions)).mean(0), dim=0) for captions in hapt.CAPTIONS]
    return encoder.centre_text(torch.stack(rows))  # type: ignore[attr-defined]


def summary(right: np.ndarray, people: np.ndarray) -> dict[str, object]:
    """Accuracy with the interval over windows, and the one over people: windows of one person are alike."""
    persons = np.unique(people)
    shares = np.array([right[people == person].mean() for person in persons])
    low, high = bootstrap(lambda index: float(shares[index].mean()), len(persons))
    worst = persons[int(shares.argmin())]
    return {
        "windows": proportion(right),
        "people": {"value": float(shares.mean()), "ci95": [low, high], "n": len(persons)},
        "worst person": {"person": int(worst), "value": float(shares.min())},
        "chance": 1 / inertial.CLASSES,
    }


def cross_validate(data: Tensor, labels: Tensor, people: np.ndarray) -> dict[str, object]:
    persons = np.unique(people)
    right = np.zeros(len(data), bool)
    for fold in range(FOLDS):
        test = np.isin(people, persons[fold::FOLDS])
        network = train(data[~test], labels[~test])
        with torch.inference_mode():
            right[test] = (network(data[test]).argmax(1) == labels[test]).numpy()
    return summary(right, people)


def evaluate(data: Tensor, labels: Tensor, people: np.ndarray) -> dict[str, object]:
    """The shipped encoder through its public interface, against texts of its own text tower."""
    encoder = load_encoder("concept", modalities=[Modality.IMU, Modality.TEXT])
    times = np.arange(inertial.STEPS) / inertial.RATE
    found = encoder.encode(Modality.IMU, [ImuSample(window.T.numpy().copy(), times) for window in data])
    truth = labels.numpy()
    vectors = np.stack([embedding.vector for embedding in found])
    names = [captions[0] for captions in hapt.CAPTIONS]
    label = np.array([names.index(embedding.labels[0][0]) for embedding in found])
    sure = np.array([not embedding.abstained for embedding in found])
    result: dict[str, object] = {"best label": summary(label == truth, people)}
    for place, what in enumerate(("first caption", "second caption", "third caption")):
        texts = encoder.encode(Modality.TEXT, [captions[place] for captions in hapt.CAPTIONS])
        nearest = (vectors @ np.stack([text.vector for text in texts]).T).argmax(1)
        result[f"nearest text, {what}"] = summary(nearest == truth, people)
    for steps in (inertial.SHORTEST_STEPS, inertial.STEPS // 2):
        short = [ImuSample(window.T[-steps:].numpy().copy(), times[:steps]) for window in data]
        seconds = f"the last {steps / inertial.RATE} s"
        found = encoder.encode(Modality.IMU, short)
        result[f"best label of {seconds}"] = summary(
            np.array([names.index(embedding.labels[0][0]) for embedding in found]) == truth, people
        )
        result[f"mean confidence of {seconds}"] = float(np.mean([e.confidence for e in found]))
    result["abstained"] = proportion(~sure)
    result["best label where not abstained"] = proportion((label == truth)[sure])
    result["confusion, rows are true"] = [
        [int(((truth == i) & (label == j)).sum()) for j in range(inertial.CLASSES)]
        for i in range(inertial.CLASSES)
    ]
    return result


def ship(network: inertial.InertialNetwork) -> None:
    """Write the weights and their checksum into the card."""
    network.rows.copy_(caption_rows())
    path = HERE / "imu.safetensors"
    save_file({name: v.half().contiguous() for name, v in sorted(network.state_dict().items())}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    card = HERE / "card.yaml"
    text, count = re.subn(
        r'(imu\.safetensors: \{sha256: ")[0-9a-f]*', rf"\g<1>{digest}", card.read_text(encoding="utf-8")
    )
    if count != 1:
        raise SystemExit(f"{card} does not list imu.safetensors exactly once")
    card.write_text(text, encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size} bytes, sha256 {digest}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--downloads", type=Path, default=Path.home() / ".cache" / "imagebind_node" / "sources"
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument(
        "--evaluate", action="store_true", help="measure the shipped weights on unseen people"
    )
    action.add_argument(
        "--cross-validate", action="store_true", help="measure the recipe on the other people"
    )
    args = parser.parse_args()
    args.downloads.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    data, labels, people = hapt.windows(hapt.fetch(args.downloads))
    unseen = np.isin(people, HELD_OUT)
    part = unseen if args.evaluate else ~unseen
    chosen = torch.from_numpy(data[part]), torch.from_numpy(labels[part])
    if args.evaluate or args.cross_validate:
        measure = evaluate if args.evaluate else cross_validate
        print(json.dumps(measure(*chosen, people[part]), indent=1))
    else:
        ship(train(*chosen))


if __name__ == "__main__":
    main()
