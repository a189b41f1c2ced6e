"""Speed, size, recall and crash safety of the embedded memory.

  python benchmarks/memory.py bulk --moments 1000000     insert, search, recall against exact search, memory
  python benchmarks/memory.py crash --rounds 50          kill -9 at random moments while 100,000 are stored

Vectors are mixtures of up to five of 1,500 random class directions with noise, as the embeddings of the concept space
are; `--vectors gaussian` takes directions without any structure, the worst case for a neighbourhood graph. The
store runs in a process of its own, so that its resident memory is its own. Prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from memory_inputs import (
    CHUNK,
    DIM,
    MODALITIES,
    SPACE,
    START,
    STEP,
    filters,
    make_moments,
    make_vectors,
    spread,
)
from resident import ResidentWatch, resident

from imagebind_node.memory import MemoryFilter
from imagebind_node.memory.edge.store import EdgeStore

BATCH = 200


def run_store(
    pipe: Connection, folder: str, kind: str, moments: int, rate: float, queries: np.ndarray
) -> None:
    """The process whose memory is measured."""
    report: dict[str, Any] = {}
    report["resident_mib"] = {"before": resident()}
    watch = ResidentWatch()
    store = EdgeStore(folder, SPACE)
    searches: list[float] = []
    commits: list[float] = []
    making, marks, began = 0.0, [], time.perf_counter()
    for chunk in range(moments // CHUNK):
        made = time.perf_counter()
        vectors = make_vectors(kind, chunk)
        making += time.perf_counter() - made
        for start in range(0, CHUNK, BATCH):
            before = time.perf_counter()
            store.add(make_moments(chunk * CHUNK + start, BATCH), vectors[start : start + BATCH])
            commits.append(time.perf_counter() - before)
            if rate:
                due = began + making + (chunk * CHUNK + start + BATCH) / rate
                time.sleep(max(0.0, due - time.perf_counter()))
        now = START + (chunk + 1) * CHUNK * STEP
        for query in queries[:5]:
            before = time.perf_counter()
            store.search(query, 10, MemoryFilter(since=now - 600 * 10**9))
            searches.append(time.perf_counter() - before)
        marks.append(time.perf_counter() - making)
    spent = time.perf_counter() - began - making
    slowest = max(np.diff([began, *marks]))
    report["insert"] = {
        "per_s": round(moments / spent),
        "slowest_10000_per_s": round(CHUNK / slowest),
        "batch_of_200": spread(commits),
        "search_meanwhile_last_10_min": spread(searches),
    }
    report["resident_mib"]["peak_inserting"] = watch.peak()
    before = time.perf_counter()
    store.wait_indexed()
    report["seconds_to_index_the_rest"] = round(time.perf_counter() - before, 1)
    report["resident_mib"]["peak_indexing_the_rest"] = watch.peak()
    store.close()
    watch.peak()
    before = time.perf_counter()
    store = EdgeStore(folder, SPACE)
    report["open_s"] = round(time.perf_counter() - before, 2)
    report["resident_mib"]["opened"] = resident()
    assert store.count() == moments
    report["search"], found = {}, {}
    for name, where in filters(moments).items():
        times, found[name] = [], []
        for query in queries:
            before = time.perf_counter()
            hits = store.search(query, 10, where)
            times.append(time.perf_counter() - before)
            found[name].append([(hit.moment.stamp - START) // STEP for hit in hits])
        report["search"][name] = spread(times)
    report["resident_mib"]["peak_opening_and_searching"] = watch.peak()
    watch.stop()
    store.close()
    pipe.send((report, found))


def exact(kind: str, moments: int, queries: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Indices of the 10 nearest by brute force in float32, for every filter."""
    best = {name: [(np.empty(0), np.empty(0, int))] * len(queries) for name in filters(moments)}
    modality = np.array([MODALITIES[i].value for i in range(10)])
    for chunk in range(moments // CHUNK):
        similarity = queries @ make_vectors(kind, chunk).T
        index = np.arange(chunk * CHUNK, (chunk + 1) * CHUNK)
        stamps = START + index * STEP
        for name, where in filters(moments).items():
            keep = np.ones(CHUNK, bool)
            if where.since is not None:
                keep &= (stamps >= where.since) & (stamps <= where.until)
            if where.modalities:
                keep &= modality[index % 10] == where.modalities[0].value
            if not keep.any():
                continue
            for q, row in enumerate(similarity[:, keep]):
                scores = np.concatenate([best[name][q][0], row])
                ids = np.concatenate([best[name][q][1], index[keep]])
                top = np.argsort(-scores, kind="stable")[:10]
                best[name][q] = (scores[top], ids[top])
    return {name: [ids for _, ids in pairs] for name, pairs in best.items()}


def bulk(args: argparse.Namespace) -> dict[str, Any]:
    """Insert and search."""
    moments = args.moments // CHUNK * CHUNK
    queries = make_vectors(args.vectors, -1 % 2**31, args.queries)
    folder = Path(args.folder or tempfile.mkdtemp(prefix="memory-benchmark-"))
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=run_store, args=(there, str(folder), args.vectors, moments, args.rate, queries)
    )
    try:
        process.start()
        there.close()
        report, found = here.recv()
        process.join()
        size = sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
        truth = exact(args.vectors, moments, queries)
        for name, answers in found.items():
            hits = [len(set(a) & set(t.tolist())) / len(t) for a, t in zip(answers, truth[name])]
            report["search"][name]["recall_at_10"] = round(float(np.mean(hits)), 4)
        return {"moments": moments, "dim": DIM, "vectors": args.vectors, "disk_mib": size >> 20, **report}
    finally:
        if process.is_alive():
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def write_until_killed(folder: str, done: int, moments: int) -> Iterator[None]:
    """Store in batches of 50 from `done` on, acknowledging each on stdout."""
    store = EdgeStore(folder, SPACE, shard_points=25_000)
    while done < moments:
        vectors = make_vectors("mixture", done // CHUNK)
        for start in range(done % CHUNK, CHUNK, 50):
            store.add(make_moments(done, 50), vectors[start : start + 50])
            done += 50
            print(done, flush=True)
            yield
    store.close()


def crash(args: argparse.Namespace) -> dict[str, Any]:
    """kill -9, open, compare; until `rounds` kills hit a writer at work."""
    folder = args.folder or tempfile.mkdtemp(prefix="memory-crash-")
    dice = random.Random(args.seed)
    acknowledged, opens, lost, wrong = 0, [], 0, 0
    # The first round fills the store to half, so that most rounds open a large one.
    half = args.moments // 2
    goals = [half, *sorted(dice.randrange(half, args.moments) for _ in range(args.rounds - 1))]
    try:
        for number, goal in enumerate(goals):
            writer = subprocess.Popen(
                [sys.executable, __file__, "write", folder, str(acknowledged), str(2 * args.moments)],
                stdout=subprocess.PIPE,
                text=True,
            )
            assert writer.stdout is not None
            lines = [writer.stdout.readline()]
            while lines[-1] and int(lines[-1]) < goal:
                lines.append(writer.stdout.readline())
            # Batches take a few milliseconds: the kill falls at any point of one, of a flush or of a seal.
            time.sleep(dice.uniform(0.0, 0.05))
            os.kill(writer.pid, signal.SIGKILL)
            lines += writer.stdout.readlines()
            writer.wait()
            acknowledged = int([line for line in lines if line.endswith("\n")][-1])
            before = time.perf_counter()
            store = EdgeStore(folder, SPACE, shard_points=25_000, index=False)
            opens.append(time.perf_counter() - before)
            stamps = np.array([h.moment.stamp for hits in store.scan(batch=5000) for h in hits])
            kept = np.zeros(2 * args.moments, bool)
            kept[(stamps - START) // STEP] = True
            lost += int((~kept[:acknowledged]).sum())
            wrong += int(len(stamps) != kept.sum())
            for i in (dice.randrange(acknowledged) for _ in range(10)):
                vector = make_vectors("mixture", i // CHUNK)[i % CHUNK]
                hit = store.search(vector, 1, exact=True)[0]
                wrong += int((hit.moment.stamp - START) // STEP != i or hit.score < 0.9999)
            store.close()
            print(f"round {number + 1}: {acknowledged} acknowledged, {lost} lost", file=sys.stderr)
        return {
            "rounds": args.rounds,
            "acknowledged": acknowledged,
            "lost": lost,
            "wrong": wrong,
            "open": spread(opens),
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Run one benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("bulk", "crash"):
        command = commands.add_parser(name)
        command.add_argument("--folder", help="an empty folder to work in (default: temporary)")
        command.add_argument("--moments", type=int, default=1_000_000 if name == "bulk" else 100_000)
    commands.choices["bulk"].add_argument("--queries", type=int, default=200)
    commands.choices["bulk"].add_argument(
        "--rate", type=float, default=0.0, help="moments a second at most (default: as many as go in)"
    )
    commands.choices["bulk"].add_argument("--vectors", choices=("mixture", "gaussian"), default="mixture")
    commands.choices["crash"].add_argument("--rounds", type=int, default=50)
    commands.choices["crash"].add_argument("--seed", type=int, default=0)
    writer = commands.add_parser("write")
    writer.add_argument("folder")
    writer.add_argument("done", type=int)
    writer.add_argument("moments", type=int)
    args = parser.parse_args()
    if args.command == "write":
        for _ in write_until_killed(args.folder, args.done, args.moments):
            pass
        return
    machine = {
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
    }
    result = bulk(args) if args.command == "bulk" else crash(args)
    json.dump({"benchmark": f"memory {args.command}", "machine": machine, **result}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
