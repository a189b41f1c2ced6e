"""One tower of this package for benchmarks/encoders.py."""

from __future__ import annotations

import torch
from worker_inputs import arguments, inputs, serve

from imagebind_node.encoders.imagebind.encoder import load_imagebind
from imagebind_node.samples import Modality


def main() -> None:
    parser = arguments()
    parser.add_argument("--precision", required=True)
    parser.add_argument("--token-merging", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    modality = Modality(options.tower)
    encoder = load_imagebind(
        options.checkpoint,
        modalities=[modality],
        precision=options.precision,
        device=options.device,
        token_merging=options.token_merging,
    )
    batch = inputs(options.tower, options.batch).to(options.device)
    serve(lambda: encoder.forward_scaled(modality, batch), options.clock)


if __name__ == "__main__":
    main()
