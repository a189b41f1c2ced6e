"""Ego4D (Grauman et al. 2022): ego4d.json (videos and their scenarios) and v1/imu or v2/imu/<video_uid>.csv."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from imagebind_node.errors import InvalidInputError
from imagebind_node.evaluation.datasets.base import Item, LabelledDataset, need, read_csv
from imagebind_node.formats.documents import read_json
from imagebind_node.samples import ImuSample, Modality

WINDOW_SECONDS = 5.0
COLUMNS = ("canonical_timestamp_ms", "gyro_x", "gyro_y", "gyro_z", "accl_x", "accl_y", "accl_z")


def read_ego4d(root: Path) -> LabelledDataset:
    """One item a video that has IMU data and a scenario: the five seconds in its middle. Classes: all scenarios."""
    table = need(root, "ego4d.json", what="Ego4D")
    folder = next((root / v / "imu" for v in ("v2", "v1", ".") if (root / v / "imu").is_dir()), None)
    if folder is None:
        raise InvalidInputError(f"{root} is not Ego4D: v2/imu is missing")
    try:
        videos = read_json(table)["videos"]
        scenarios = {video["video_uid"]: tuple(video["scenarios"]) for video in videos}
    except (KeyError, TypeError) as error:
        raise InvalidInputError(f"{table} is damaged: {error!r}") from error
    classes = sorted({name for names in scenarios.values() for name in names})
    items = tuple(
        Item(uid, names, partial(load_imu, folder / f"{uid}.csv"))
        for uid, names in scenarios.items()
        if names and (folder / f"{uid}.csv").is_file()
    )
    return LabelledDataset("ego4d", Modality.IMU, tuple(classes), items)


def load_imu(path: Path) -> ImuSample:
    """The five seconds in the middle; rows without a value (sensors that stopped) are dropped."""
    rows = read_csv(path, COLUMNS)
    try:
        table = np.array([[float(row[name] or "nan") for name in COLUMNS] for row in rows])
    except ValueError as error:
        raise InvalidInputError(f"{path} holds something that is no number: {error}") from error
    table = table[np.isfinite(table).all(1)]
    order = np.argsort(table[:, 0], kind="stable")
    times, keep = np.unique(table[order, 0] / 1e3, return_index=True)
    table = table[order][keep]
    if len(times) < 2:
        raise InvalidInputError(f"{path} has fewer than 2 complete measurements")
    middle = (times[0] + times[-1]) / 2
    inside = np.abs(times - middle) <= WINDOW_SECONDS / 2
    inside = inside if inside.sum() >= 2 else np.ones(len(times), bool)
    data = np.concatenate([table[inside, 4:7], table[inside, 1:4]], axis=1).astype(np.float32)
    return ImuSample(data, times[inside] - times[inside][0])
