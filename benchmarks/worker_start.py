"""From process start to the first embedding of a 2 s sound: worker_start.py CHECKPOINT PRECISION."""

from __future__ import annotations

import json
import sys
import time

import psutil


def main() -> None:
    checkpoint, precision = sys.argv[1:]
    import numpy as np

    from imagebind_node.encoders.base import load_encoder
    from imagebind_node.samples import AudioSample

    encoder = load_encoder("imagebind_huge", checkpoint=checkpoint, modalities=["audio"], precision=precision)
    sound = np.random.default_rng(0).normal(0, 0.1, 32000).astype(np.float32)
    encoder.encode("audio", [AudioSample(sound, 16000)])
    seconds = time.time() - psutil.Process().create_time()

    from worker_inputs import peak_megabytes

    print(json.dumps({"seconds": seconds, "peak_megabytes": peak_megabytes()}))


if __name__ == "__main__":
    main()
