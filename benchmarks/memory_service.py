"""Searching a memory node from another process: round trip of ~/search over DDS.

  python benchmarks/memory_service.py --moments 100000 --calls 300

Fills a memory, starts the node in a process of its own and calls it from this one, by vector and by words (which the
node encodes first). Prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")

from memory_inputs import make_moments, make_vectors, spread

from imagebind_node.encoders.base import load_encoder
from imagebind_node.memory import open_memory


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--moments", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=300)
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="memory-service-")
    space = load_encoder("concept", modalities=["vision"]).space
    with open_memory(Path(folder) / space.id.replace("/", "-"), space) as store:
        for chunk in range(args.moments // 10_000):
            vectors = make_vectors("mixture", chunk)
            for start in range(0, 10_000, 200):
                store.add(make_moments(chunk * 10_000 + start, 200), vectors[start : start + 200])
        store.wait_indexed()
    node = subprocess.Popen(
        [sys.executable, "-m", "imagebind_node.nodes.memory", "--ros-args"]
        + ["-p", f"directory:={folder}", "-p", "modalities:=['text']"],
        cwd=Path(__file__).parents[1],
    )
    try:
        result = call(args.calls, space)
    finally:
        node.terminate()
        node.wait(60)
        shutil.rmtree(folder, ignore_errors=True)
    load = round(os.getloadavg()[0], 1)
    print(
        json.dumps({"benchmark": "memory service", "moments": args.moments, "load": load, **result}, indent=1)
    )


def call(calls: int, space: object) -> dict[str, dict[str, float]]:
    """Round trips of both kinds of query."""
    import rclpy
    from imagebind_msgs.msg import Content, Embedding
    from imagebind_msgs.srv import Search

    rclpy.init()
    client_node = rclpy.create_node("memory_benchmark")
    client = client_node.create_client(Search, "memory/search")
    client.wait_for_service(120)
    times: dict[str, list[float]] = {"vector": [], "words": []}
    for i, vector in enumerate(make_vectors("mixture", 77_777, calls)):
        embedding = Embedding(space=space.id, modality="audio", vector=np.asarray(vector).tolist())
        for kind, content in (
            ("vector", Content(modality="embedding", embedding=embedding)),
            ("words", Content(modality="text", text=f"a dog barking near house {i}")),
        ):
            before = time.perf_counter()
            future = client.call_async(Search.Request(terms=[content]))
            rclpy.spin_until_future_complete(client_node, future, timeout_sec=60)
            answer = future.result()
            assert answer is not None and answer.success, answer
            times[kind].append(time.perf_counter() - before)
    client_node.destroy_node()
    rclpy.shutdown()
    return {kind: spread(values[5:]) for kind, values in times.items()}


if __name__ == "__main__":
    main()
