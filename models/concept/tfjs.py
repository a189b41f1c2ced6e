"""Read the weights of a TensorFlow.js graph model, in the order in which its nodes use them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

_DTYPES = {"float32": "<f4", "int32": "<i4", "bool": "?", "float16": "<f2"}


def read_weights(model_json: Path) -> tuple[list[dict], dict[str, np.ndarray]]:
    """(graph nodes in file order, weights by name) of model.json and its binary files."""
    model = json.loads(model_json.read_text())
    groups = model["weightsManifest"]
    blob = b"".join((model_json.parent / path).read_bytes() for group in groups for path in group["paths"])
    weights, at = {}, 0
    for entry in (entry for group in groups for entry in group["weights"]):
        stored = entry.get("quantization", {}).get("dtype", entry["dtype"])
        count = int(np.prod(entry["shape"]))
        array = np.frombuffer(blob, _DTYPES[stored], count, at)
        at += array.nbytes
        weights[entry["name"]] = array.astype(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return model["modelTopology"]["node"], weights


def convolutions(model_json: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """(kernel HWIO, bias) of every Conv2D + Add pair, sorted by the number in the node's name."""
    nodes, weights = read_weights(model_json)
    bias_of = {}
    for node in nodes:
        if node["op"] in ("Add", "AddV2", "BiasAdd"):
            value = [weights[name] for name in node["input"] if name in weights]
            for name in node["input"]:
                if value and name not in weights:
                    bias_of[name] = value[0]
    found = []
    for node in nodes:
        if node["op"] == "Conv2D":
            tail = node["name"].rsplit("/", 1)[-1]
            number = int(tail.rsplit("_", 1)[1]) if "_" in tail else 0
            kernel = next(weights[name] for name in node["input"] if name in weights)
            found.append((number, kernel, bias_of[node["name"]]))
    return [(kernel, bias) for _, kernel, bias in sorted(found, key=lambda item: item[0])]
