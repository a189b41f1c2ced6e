"""Model files: there, unaltered, and able to embed."""

from __future__ import annotations

import time
from collections.abc import Iterator

from imagebind_node.cli.checks import Finding, State
from imagebind_node.errors import ImagebindNodeError
from imagebind_node.samples import Modality, TextSample


def check_model_files(model: str) -> Iterator[Finding]:
    """Weights of `model` against their sha256, and one embedding made with them."""
    needed = model == "concept"
    try:
        from imagebind_node.encoders.base import load_encoder
        from imagebind_node.model_store import verify

        for line in verify(model):
            yield Finding("model", State.OK, line, needed=needed)
        started = time.perf_counter()
        encoder = load_encoder(model, modalities=[Modality.TEXT])
        encoder.encode(Modality.TEXT, [TextSample("a dog")])
        seconds = time.perf_counter() - started
    except ImagebindNodeError as error:
        yield Finding("model", State.BROKEN, str(error), "see the message", needed=needed)
        return
    yield Finding("model", State.OK, f"{model} loads and embeds, {seconds:.1f} s", needed=needed)
