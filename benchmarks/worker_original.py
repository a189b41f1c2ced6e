"""One tower of the original's code for benchmarks/encoders.py: PyTorch eager mode, float32, nothing changed.

The original imports libraries that its network does not need (tokenizer, file access, stochastic depth that acts in
training only). They are replaced by empty modules here, so that only the network's own code has to be installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

import torch
from worker_inputs import arguments, inputs, serve

HUGE = {
    "vision": {"vision_embed_dim": 1280, "vision_num_blocks": 32, "vision_num_heads": 16},
    "text": {"text_embed_dim": 1024, "text_num_blocks": 24, "text_num_heads": 16},
    "audio": {"audio_num_blocks": 12},
    "depth": {"depth_num_blocks": 12},
    "thermal": {"thermal_num_blocks": 12},
    "imu": {"imu_num_blocks": 6},
}


def _stand_in(name: str, **content: Any) -> None:
    module = ModuleType(name)
    module.__dict__.update(content)
    sys.modules[name] = module


def import_original() -> Any:
    """The module `imagebind.models.imagebind_model`, without running the package's own imports."""
    _stand_in("timm")
    _stand_in("timm.layers", DropPath=torch.nn.Identity, trunc_normal_=torch.nn.init.trunc_normal_)
    _stand_in("ftfy")
    _stand_in("regex")
    _stand_in("iopath")
    _stand_in("iopath.common")
    _stand_in("iopath.common.file_io", g_pathmgr=None)
    package = importlib.util.find_spec("imagebind")
    assert package is not None
    _stand_in("imagebind", __path__=list(package.submodule_search_locations or ()))
    return importlib.import_module("imagebind.models.imagebind_model")


def main() -> None:
    parser = arguments()
    parser.add_argument("--half", action="store_true", help="float16, for GPUs")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    # The other towers are built with one block each, to save time and memory; they are never run.
    small = {f"{name}_num_blocks": 1 for name in HUGE}
    model = import_original().ImageBindModel(**{**small, **HUGE[options.tower], "out_embed_dim": 1024}).eval()
    weights = torch.load(options.checkpoint, map_location="cpu", mmap=True, weights_only=True)
    mine = {name: value for name, value in weights.items() if f".{options.tower}." in name}
    outcome = model.load_state_dict(mine, strict=False, assign=True)
    lacking = [name for name in outcome.missing_keys if f".{options.tower}." in name]
    if lacking or outcome.unexpected_keys:
        raise SystemExit(
            f"the checkpoint does not fit the original: {lacking[:1]} {outcome.unexpected_keys[:1]}"
        )
    model = model.to(options.device)
    batch = inputs(options.tower, options.batch).to(options.device)
    if options.half:
        model = model.half()
        batch = batch if options.tower == "text" else batch.half()
    serve(lambda: model({options.tower: batch})[options.tower], options.clock)


if __name__ == "__main__":
    main()
