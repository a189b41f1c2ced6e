"""Time every ImageBind tower against the original's code, on the same random weights, in one run.

    python benchmarks/encoders.py --checkpoint /tmp/random_huge.pth [--json result.json]

Without --checkpoint a random one of 4.8 GB is written to a temporary folder and removed afterwards. The original
(PyPI `imagebind-unofficial`) is installed without its dependencies into a folder of its own, and only its model
code is imported. Each tower and precision runs in a process of its own; the processes take turns, so that all meet
the same conditions, and the fastest of the rounds counts. `cosine` is the lowest cosine to the original's output.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).resolve().parent
ROOT = BENCHMARKS.parent
TOWERS = ("vision", "audio", "text", "depth", "thermal", "imu")
TARGETS = {"vision": 5.0, "audio": 4.0, "text": 2.0, "depth": 2.0, "thermal": 2.0, "imu": 2.0}
ORIGINAL = "original fp32"
ORIGINAL_PACKAGES = ("imagebind-unofficial==0.1.1", "einops==0.8.1")


class Worker:
    """A process that holds one tower and times it when told to."""

    def __init__(self, script: str, arguments: list[str], packages: Path | None, threads: int) -> None:
        path = [str(ROOT)] + ([str(packages)] if packages else [])
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(BENCHMARKS / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.seconds: list[float] = []
        self.ready = self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a worker died with exit status {self.process.wait()}")
        return json.loads(line)

    def measure(self) -> None:
        """One more timing."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        self.seconds.append(self._read()["seconds"])

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def install_original() -> Path:
    """Folder that holds the original's package; installed once into the user's cache."""
    from imagebind_node.model_store import cache_root

    folder = cache_root() / "benchmark-original"
    if not (folder / "imagebind").is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
        subprocess.run([*command, *ORIGINAL_PACKAGES], check=True)
    return folder


def run_tower(
    tower: str, variants: list[tuple[str, int]], options: argparse.Namespace, packages: Path
) -> list[dict]:
    """Rows for one tower: the original first, then each (precision, token merging)."""
    common = ["--checkpoint", str(options.checkpoint), "--tower", tower, "--batch", str(options.batch)]
    common += ["--threads", str(options.threads), "--device", options.device, "--clock", options.clock]
    workers = {ORIGINAL: Worker("worker_original.py", common, packages, options.threads)}
    for precision, merged in variants:
        name = precision + (f" + {merged} tokens merged a block" if merged else "")
        arguments = [*common, "--precision", precision, "--token-merging", str(merged)]
        workers[name] = Worker("worker_encoder.py", arguments, None, options.threads)
    for _ in range(options.rounds):
        for worker in workers.values():
            worker.measure()
    base = workers[ORIGINAL]
    rows = []
    for name, worker in workers.items():
        seconds = min(worker.seconds)
        rows.append(
            {
                "tower": tower,
                "code": name,
                "milliseconds": 1000 * seconds,
                "ratio": min(base.seconds) / seconds,
                "cosine": cosine(base.ready["output"], worker.ready["output"]),
                "resident_megabytes": worker.ready["resident_megabytes"],
                "all_milliseconds": [1000 * value for value in worker.seconds],
            }
        )
        worker.close()
    return rows


def cosine(a: list[list[float]], b: list[list[float]]) -> float:
    """Lowest cosine of rows that belong together."""
    import numpy as np

    first, second = np.asarray(a), np.asarray(b)
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float(((first * second).sum(1) / norms).min())


def start_up(options: argparse.Namespace) -> dict[str, Any]:
    """Process start to the first embedding of a 2 s sound, audio tower alone, weights converted beforehand."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(options.threads)}
    command = [sys.executable, "-W", "ignore", str(BENCHMARKS / "worker_start.py"), str(options.checkpoint)]
    runs = []
    for precision in ("int8", "bf16"):
        for _ in range(4):
            done = subprocess.run(
                [*command, precision], check=True, capture_output=True, text=True, env=environment
            )
            runs.append({"precision": precision, **json.loads(done.stdout)})
    best = {}
    for precision in ("int8", "bf16"):
        best[precision] = min(
            (run for run in runs[1:] if run["precision"] == precision), key=lambda run: run["seconds"]
        )
    return best


def print_table(rows: list[dict], started: dict[str, Any]) -> None:
    """The result for people."""
    print(f"{'tower':8} {'code':34} {'ms':>9} {'ratio':>7} {'target':>7} {'cosine':>9} {'resident MB':>12}")
    for row in rows:
        target = "" if row["code"] == ORIGINAL else f"{TARGETS[row['tower']]:.0f}x"
        print(
            f"{row['tower']:8} {row['code']:34} {row['milliseconds']:9.1f} {row['ratio']:6.2f}x {target:>7} "
            f"{row['cosine']:9.6f} {row['resident_megabytes']:12.0f}"
        )
    for precision, run in started.items():
        print(
            f"audio tower alone, {precision}: process start to first embedding {run['seconds']:.2f} s, "
            f"at most {run['peak_megabytes']:.0f} MB resident"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="official-format .pth (default: a random one)")
    parser.add_argument("--towers", nargs="+", choices=TOWERS, default=list(TOWERS))
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16", "int8"])
    parser.add_argument(
        "--token-merging", type=int, default=6, help="also int8 with so many tokens merged a block"
    )
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu: time of the computing thread, for machines that are busy with other work; needs --threads 1",
    )
    parser.add_argument("--json", type=Path, help="also write the result here")
    options = parser.parse_args()
    if options.clock == "cpu" and options.threads != 1:
        parser.error("--clock cpu counts one thread: add --threads 1")
    sys.path.insert(0, str(ROOT))
    packages = install_original()
    with tempfile.TemporaryDirectory() as scratch:
        if options.checkpoint is None:
            options.checkpoint = Path(scratch) / "random_huge.pth"
            # The converted towers of throw-away weights are thrown away too.
            os.environ["XDG_CACHE_HOME"] = scratch
            command = [sys.executable, str(BENCHMARKS / "make_random_checkpoint.py"), str(options.checkpoint)]
            subprocess.run(
                command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=sys.stderr
            )
        rows = []
        for tower in options.towers:
            print(f"measuring {tower} ...", file=sys.stderr)
            variants = [(precision, 0) for precision in options.precisions]
            if options.token_merging and "int8" in options.precisions and tower != "text":
                variants.append(("int8", options.token_merging))
            rows += run_tower(tower, variants, options, packages)
        started = start_up(options) if options.device == "cpu" and "audio" in options.towers else {}
    print_table(rows, started)
    if options.json is not None:
        settings = {key: str(value) for key, value in vars(options).items()}
        document = {"settings": settings, "machine": platform.platform(), "rows": rows, "start": started}
        options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
