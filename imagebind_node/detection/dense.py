"""Dense ImageBind detector: one vision pass, a similarity for every patch, boxes cut out of the map."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from imagebind_node.detection.base import Detector, Proposer
from imagebind_node.detection.class_embeddings import ClassEmbeddings
from imagebind_node.detection.dense_features import METHODS, embed_densely
from imagebind_node.detection.dense_views import VIEWS, View, make_view
from imagebind_node.detection.detections import Regions, box_iou
from imagebind_node.detection.registry import register_detector
from imagebind_node.detection.similarity_boxes import box_weights, boxes_from_map, pool
from imagebind_node.embedding import Embedding
from imagebind_node.encoders.base import Encoder
from imagebind_node.encoders.imagebind.encoder import ImageBindEncoder
from imagebind_node.encoders.imagebind.stems import VisionStem
from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import ImageSample, Modality

SNAP_IOU = 0.5  # a proposal replaces a box of the map that it overlaps by this much


@dataclass(frozen=True)
class PatchRegions(Regions):
    """The patches of one picture, as regions; `for_classes` cuts boxes out of the similarity maps.

    picture: the embedding of the whole view, float32 (dim,), unit. grid: patch embeddings, float32 (rows,
    columns, dim), unit. view: where the patches lie in the picture. proposals: float32 (N, 4) pixels.
    """

    picture: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    grid: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0), np.float32))
    view: View | None = None
    proposals: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))

    def for_classes(self, rows: np.ndarray) -> Regions:
        """Boxes of all classes' maps (C, dim), each embedded as the mean of its area's patches."""
        assert self.view is not None
        boxes, weights = [np.zeros((0, 4), np.float32)], [np.zeros((0, *self.grid.shape[:2]), np.float32)]
        for row in rows:
            cut, weight = boxes_from_map(self.grid @ row)
            boxes.append(cut)
            weights.append(weight)
        pixels, weight = self.view.to_pixels(np.concatenate(boxes)), np.concatenate(weights)
        if len(self.proposals) and len(pixels):
            pixels, weight = self._snapped(pixels, weight)
        strength = np.ones(len(pixels), np.float32)
        return Regions(pixels, pool(self.grid, weight), strength)

    def _snapped(self, boxes: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert self.view is not None
        overlap = box_iou(boxes, self.proposals)
        best = overlap.argmax(1)
        near = overlap[np.arange(len(boxes)), best] >= SNAP_IOU
        boxes, weights = boxes.copy(), weights.copy()
        boxes[near] = self.proposals[best[near]]
        inside = box_weights(self.view.to_patches(boxes[near]), *self.grid.shape[:2])
        # A proposal that holds no whole part of a patch keeps the area that it came from.
        some = inside.sum((1, 2)) > 0
        index = np.flatnonzero(near)[some]
        weights[index] = inside[some]
        return boxes, weights


class DenseDetector(Detector):
    """Reads ImageBind's vision tower patch by patch.

    method: see dense_features. view: which part of the picture at which resolution, see dense_views.
    side: pixels of the picture's short side in the network (224: as trained; multiples of the patch);
    proposals: boxes of the map snap to these, if given.
    null_bank: unit rows of unrelated cues for percentile scores, best of the modality that is searched with.
    """

    name = "dense"

    def __init__(
        self,
        encoder: ImageBindEncoder,
        *,
        method: str = "clearclip",
        view: str = "full",
        side: int | None = None,
        proposals: Proposer | None = None,
        null_bank: np.ndarray | None = None,
    ) -> None:
        if method not in METHODS:
            raise InvalidInputError(f"unknown dense method {method!r}: use one of {', '.join(METHODS)}")
        if view not in VIEWS:
            raise InvalidInputError(f"unknown view {view!r}: use one of {', '.join(VIEWS)}")
        encoder.require(Modality.VISION)
        self.space = encoder.space
        self._tower = encoder.network.tower(Modality.VISION)
        self._patch = self._tower.config.patch
        stem = self._tower.preprocessor
        assert isinstance(stem, VisionStem)
        trained = stem.grid[0] * self._patch
        self._trained, self._side = trained, trained if side is None else side
        if self._side % self._patch or self._side < self._patch:
            raise InvalidInputError(f"side must be a multiple of {self._patch} pixels, got {side}")
        if view == "centre" and self._side != trained:
            raise InvalidInputError(f"view 'centre' is what the encoder sees, {trained} pixels: use 'full'")
        self._method, self._view, self._proposals = method, view, proposals
        self._null_bank = null_bank
        self._newest: tuple[ImageSample, PatchRegions] | None = None

    def new_classes(self) -> ClassEmbeddings:
        return ClassEmbeddings(self.space, self._null_bank, null_regions=self.null_regions)

    def regions(self, sample: ImageSample) -> PatchRegions:
        if self._newest is not None and self._newest[0] is sample:
            return self._newest[1]
        view = make_view(self._view, sample.data, self._side, self._trained, self._patch)
        device = self._tower.head.norm.weight.device
        with torch.inference_mode():
            whole, patches = embed_densely(self._tower, view.batch.to(device), self._method)
        grid = view.join(patches.cpu().numpy())
        rows, columns, dim = grid.shape
        y, x = np.divmod(np.arange(rows * columns, dtype=np.float32), columns)
        cells = np.stack([x, y, x + 1, y + 1], 1)
        proposals = np.zeros((0, 4), np.float32)
        if self._proposals is not None:
            proposals = self._proposals(sample.data).boxes
        picture = whole.mean(0).cpu().numpy() if len(whole) > 1 else whole[0].cpu().numpy()
        found = PatchRegions(
            boxes=view.to_pixels(cells),
            embeddings=grid.reshape(-1, dim),
            objectness=np.ones(len(cells), np.float32),
            picture=picture,
            grid=grid,
            view=view,
            proposals=proposals,
        )
        self._newest = sample, found
        return found

    def embed(self, sample: ImageSample) -> Embedding:
        """The picture's embedding out of the same pass.

        With view "centre" it is bit for bit the encoder's own; else it is of the view (mean over windows).
        """
        return Embedding(
            self.regions(sample).picture, Modality.VISION, self.space, sample.stamp, sample.frame_id
        )

    def similarity_map(self, sample: ImageSample, query: Embedding) -> np.ndarray:
        """Cosine of the query with each patch, over the whole picture; least of all outside the view."""
        self.space.require_same(query.space)
        found = self.regions(sample)
        assert found.view is not None
        return found.view.over_picture(found.grid @ query.vector)


@register_detector("dense")
def load(
    encoder: Encoder | None,
    *,
    method: str = "clearclip",
    view: str = "full",
    side: int | None = None,
    proposals: Proposer | None = None,
    null_bank: np.ndarray | None = None,
) -> DenseDetector:
    """Build on an ImageBind encoder with its vision tower."""
    if not isinstance(encoder, ImageBindEncoder):
        raise InvalidInputError("detector 'dense' reads ImageBind's vision tower: use --model imagebind_huge")
    return DenseDetector(
        encoder, method=method, view=view, side=side, proposals=proposals, null_bank=null_bank
    )
