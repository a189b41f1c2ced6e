"""The encoder `imagebind_huge`, and encoders from other weights of the same architecture."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from imagebind_node.embedding import Embedding, Space
from imagebind_node.encoders import runtime
from imagebind_node.encoders.base import Encoder, StreamingFrontEnd, register_encoder
from imagebind_node.encoders.imagebind import conversion
from imagebind_node.encoders.imagebind.checkpoint import (
    check_checkpoint,
    complete_towers,
    open_checkpoint,
    tower_tensors,
)
from imagebind_node.encoders.imagebind.config import HUGE, ImageBindConfig, read_config
from imagebind_node.encoders.imagebind.model import ImageBind
from imagebind_node.encoders.text_cache import TextCache
from imagebind_node.errors import InvalidInputError, ModelFileError, UnsupportedModalityError
from imagebind_node.model_store import ModelFile, model_folder, read_model_card
from imagebind_node.samples import (
    AudioSample,
    DepthSample,
    ImageSample,
    ImuSample,
    Modality,
    Sample,
    TextSample,
    ThermalSample,
    VideoSample,
)

logger = logging.getLogger(__name__)
NAME = "imagebind_huge"
WINDOWS = {Modality.AUDIO: 2.0, Modality.IMU: 5.0}
INDEX = "digests.json"


class ImageBindEncoder(Encoder):
    """ImageBind's towers behind the common interface. Build it with `load_encoder` or `load_imagebind`.

    Text embeddings are kept on disk by (space, text). Words seen before are embedded without the text tower, so
    `drop(Modality.TEXT)` after encoding the prompts frees its memory.
    """

    name = NAME

    def __init__(
        self,
        network: ImageBind,
        space: Space,
        *,
        device: str = "cpu",
        precision: str = "fp32",
        text_cache: TextCache | None = None,
    ) -> None:
        self.network = network
        self.space = space
        self.device = device
        self.precision = precision
        self.text_cache = text_cache
        self.modalities = frozenset(Modality(name) for name in network.towers)

    @property
    def config(self) -> ImageBindConfig:
        """Shape of the network."""
        return self.network.config

    def set_token_merging(self, count: int) -> None:
        """Merge `count` pairs of tokens in every block (ToMe): faster and approximate. 0, the default, is exact.

        Acts on all loaded towers but text. docs/imagebind.md tells what it costs.
        """
        if count < 0:
            raise InvalidInputError(f"token merging must be 0 or more tokens a block, got {count}")
        for modality in self.modalities - {Modality.TEXT}:
            self.network.tower(modality).token_merging = count

    def drop(self, modality: Modality) -> None:
        """Unload one tower and free its memory."""
        self.require(modality)
        del self.network.towers[modality.value]
        self.modalities -= {modality}

    def window(self, modality: Modality) -> float:
        return WINDOWS.get(modality, 0.0)

    def front_end(self, modality: Modality) -> StreamingFrontEnd | None:
        if modality is not Modality.AUDIO:
            return None
        from imagebind_node.preprocessing.audio import StreamingFbank

        return StreamingFbank()

    def preprocess(self, modality: Modality, sample: Sample) -> Tensor:
        """One sample as the tower's input; sound (3, 1, 128, 204) and video (15, 3, 2, 224, 224) as clips."""
        if sample.modality is not modality:
            raise InvalidInputError(f"a sample of {sample.modality} cannot go through the {modality} tower")
        # Imported here so that one tower does not pay for the libraries of the others.
        if isinstance(sample, VideoSample):
            from imagebind_node.preprocessing.image import preprocess_video

            return preprocess_video(sample)
        if isinstance(sample, ImageSample):
            from imagebind_node.preprocessing.image import preprocess_image

            return preprocess_image(sample)
        if isinstance(sample, AudioSample):
            from imagebind_node.preprocessing.audio import preprocess_audio

            return preprocess_audio(sample)
        if isinstance(sample, DepthSample):
            from imagebind_node.preprocessing.depth import preprocess_depth

            return preprocess_depth(sample)
        if isinstance(sample, ThermalSample):
            from imagebind_node.preprocessing.thermal import preprocess_thermal

            return preprocess_thermal(sample, **self.thermal_range.choice())
        if isinstance(sample, ImuSample):
            from imagebind_node.preprocessing.imu import preprocess_imu

            return preprocess_imu(sample)
        if isinstance(sample, TextSample):
            from imagebind_node.preprocessing.text import preprocess_text

            return preprocess_text(sample)
        raise InvalidInputError(f"ImageBind has no tower for {modality}")

    @torch.inference_mode()
    def forward(self, modality: Modality, batch: Tensor) -> Tensor:
        """float32 (B, dim), L2-normalised, on the CPU or the encoder's device.

        vision: (B, 3, 224, 224), clips of two frames (B, 3, 2, 224, 224), or several clips (B, S, 3, 2, 224, 224);
        audio: (B, 1, 128, 204) or (B, S, 1, 128, 204); depth, thermal: (B, 1, 224, 224); imu: (B, 6, 2000);
        text: int64 (B, 77). The clips of a sample are embedded singly and averaged.
        """
        self.require(modality)
        return self.network.embed(modality, self._checked(modality, batch))

    @torch.inference_mode()
    def forward_scaled(self, modality: Modality, batch: Tensor) -> Tensor:
        """As `forward`, but exactly what the original returns: every output but vision scaled, clips averaged."""
        self.require(modality)
        return self.network(modality, self._checked(modality, batch))

    def _checked(self, modality: Modality, batch: Tensor) -> Tensor:
        if batch.ndim < 2 or len(batch) == 0:
            raise InvalidInputError(
                f"{modality} batch must hold at least one input, got shape {tuple(batch.shape)}"
            )
        if batch.is_floating_point() == (modality is Modality.TEXT):
            wanted = "int64 token numbers" if modality is Modality.TEXT else "floating point"
            raise InvalidInputError(f"{modality} input must be {wanted}, got {batch.dtype}")
        return batch.to(self.device)

    def encode_inputs(
        self, modality: Modality, inputs: list[Tensor], samples: list[Sample]
    ) -> list[Embedding]:
        """Embed preprocessed inputs; inputs of different shapes (pictures among videos) go in groups."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for place, tensor in enumerate(inputs):
            groups.setdefault(tuple(tensor.shape), []).append(place)
        embeddings: dict[int, Embedding] = {}
        for places in groups.values():
            vectors = self.forward(modality, torch.stack([inputs[place] for place in places])).cpu().numpy()
            for place, vector in zip(places, vectors):
                embeddings[place] = self._wrap(modality, samples[place], vector)
        return [embeddings[place] for place in range(len(inputs))]

    def encode(self, modality: str | Modality, samples: Sequence[Any]) -> list[Embedding]:
        """As `Encoder.encode`; text that is cached on disk needs no text tower."""
        if (
            str(modality) != Modality.TEXT.value
            or self.text_cache is None
            or isinstance(samples, (str, Path))
        ):
            return super().encode(modality, samples)
        from imagebind_node.files import as_sample

        made = (as_sample(sample, Modality.TEXT) for sample in samples)
        ready = [sample for sample in made if isinstance(sample, TextSample)]
        vectors = {sample.data: self.text_cache.get(sample.data) for sample in ready}
        absent = [sample for sample in ready if vectors[sample.data] is None]
        if absent:
            if Modality.TEXT not in self.modalities:
                raise UnsupportedModalityError(
                    f"the text tower of {self.name} is not loaded and {absent[0].data!r} was never encoded: "
                    "load it with modalities=[..., 'text'] once"
                )
            unique = list({sample.data: sample for sample in absent}.values())
            for embedding, sample in zip(self._encode(Modality.TEXT, [*unique]), unique):
                vectors[sample.data] = embedding.vector
                self.text_cache.put(sample.data, embedding.vector)
        return [self._wrap(Modality.TEXT, sample, vectors[sample.data]) for sample in ready]


@register_encoder(NAME)
def load_official(
    *,
    checkpoint: str | Path | None = None,
    modalities: Iterable[Modality] | None = None,
    device: str = "cpu",
    precision: str = "fp32",
) -> ImageBindEncoder:
    """Load the official checkpoint from the cache folder, or `checkpoint` (.pth, or .safetensors with a JSON beside).

    Raises ModelFileError with the command that fetches the file if it is not there.
    """
    return load_imagebind(checkpoint, modalities=modalities, device=device, precision=precision)


def load_reference(
    checkpoint: str | Path,
    config: str | Path | ImageBindConfig,
    *,
    modalities: Iterable[Modality] | None = None,
    device: str = "cpu",
    precision: str = "fp32",
) -> ImageBindEncoder:
    """Load weights of another shape: `config` is the JSON of constructor parameters that belongs to them."""
    return load_imagebind(
        checkpoint, config=config, modalities=modalities, device=device, precision=precision
    )


def load_imagebind(
    checkpoint: str | Path | None = None,
    *,
    config: str | Path | ImageBindConfig | None = None,
    modalities: Iterable[str | Modality] | None = None,
    device: str = "cpu",
    precision: str = "fp32",
    token_merging: int = 0,
    text_cache: TextCache | bool = True,
) -> ImageBindEncoder:
    """Build an ImageBind encoder of only the asked-for towers (None: all that the file holds).

    checkpoint: None for the official file in the cache folder; a .pth is converted once, tower by tower, into the
    cache; a .safetensors is read as it is. config: constructor parameters as JSON file or ImageBindConfig; None
    takes the .json beside a .safetensors, else the official shape. Weights other than the official ones get a
    space id of their own, from their hash. text_cache: False keeps no text embeddings on disk.
    Raises ModelFileError, InvalidInputError, UnsupportedModalityError.
    """
    runtime.check_precision(precision, device)
    path = None if checkpoint is None else Path(checkpoint).expanduser()
    shape = _shape(path, config)
    wanted = None if modalities is None else frozenset(Modality(m) for m in modalities)
    folder = model_folder(NAME)
    card_file = read_model_card(NAME).files[0]
    network = ImageBind(shape, ())
    if path is not None and path.suffix == ".safetensors":
        tensors = open_checkpoint(path)
        wanted = complete_towers(tensors, shape) if wanted is None else wanted
        check_checkpoint(tensors, shape, wanted, path)
        digest = conversion.digest_of(path, folder / INDEX)
        for modality in sorted(wanted):
            prepared = conversion.prepare(tower_tensors(tensors, shape, modality), precision)
            network.towers[modality.value] = conversion.load_tower(
                modality, shape, prepared, precision, device
            )
    else:
        source, digest = _source(path, folder, card_file)
        for modality in sorted(frozenset(Modality) if wanted is None else wanted):
            prepared = conversion.cached_tower(source, folder / "towers", digest, shape, modality, precision)
            network.towers[modality.value] = conversion.load_tower(
                modality, shape, prepared, precision, device
            )
    official = digest == card_file.sha256 and shape == HUGE
    space = Space(NAME if official else f"imagebind-{digest[:12]}", shape.dim)
    cache = TextCache(space) if text_cache is True else text_cache or None
    encoder = ImageBindEncoder(network.eval(), space, device=device, precision=precision, text_cache=cache)
    encoder.set_token_merging(token_merging)
    return encoder


def _shape(path: Path | None, config: str | Path | ImageBindConfig | None) -> ImageBindConfig:
    if isinstance(config, ImageBindConfig):
        return config
    if config is None and path is not None and path.suffix == ".safetensors":
        beside = path.with_suffix(".json")
        config = beside if beside.is_file() else None
    return HUGE if config is None else read_config(config)


def _source(path: Path | None, folder: Path, file: ModelFile) -> tuple[Path | None, str]:
    """The .pth to convert from and its hash; without a file, the hash of the official one that was converted."""
    if path is None:
        path = folder / file.name
        if not path.is_file():
            if file.sha256 is not None and (folder / "towers" / file.sha256[:16]).is_dir():
                return None, file.sha256
            raise ModelFileError(
                f"{path} is missing: run imagebind-node models pull {NAME} --accept-licence, "
                f"or fetch {file.url} elsewhere and copy it there"
            )
    elif not path.is_file():
        raise ModelFileError(f"model file {path} does not exist")
    return path, conversion.digest_of(path, folder / INDEX)
