"""Memory node: `embedding/<modality>` in; services `~/search`, `~/forget` and `~/describe`.

ros2 run imagebind_node memory --ros-args -p directory:=/var/lib/robot/memory
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from imagebind_node.errors import InvalidInputError
from imagebind_node.nodes import qos
from imagebind_node.nodes.base import ManagedNode
from imagebind_node.nodes.conversions import embedding
from imagebind_node.nodes.diagnostics import ERROR, OK, WARN, Report
from imagebind_node.nodes.executor import run
from imagebind_node.nodes.memory_messages import filter_of, result_message
from imagebind_node.nodes.memory_writer import MemoryWriter
from imagebind_node.nodes.models import load_model
from imagebind_node.nodes.parameters import Setting, model_settings
from imagebind_node.nodes.path_parameters import READ, WRITE
from imagebind_node.nodes.requests import Requests
from imagebind_node.nodes.surroundings import Pictures, Poses
from imagebind_node.streaming.scheduler import Scheduler
from imagebind_node.streaming.statistics import StageTimes

SETTINGS = [
    *model_settings(["vision", "audio", "text"]),
    Setting(
        "directory",
        "~/.local/share/imagebind_node/memory",
        "Folder of the memory; one folder a space is made inside.",
        path=WRITE,
    ),
    Setting("url", "", "Qdrant server to remember at instead, such as http://fleet.local:6333."),
    Setting("robot", "", "Name of this robot, written into every memory; empty: the node's namespace."),
    Setting("durable", "power", "What a stored memory survives.", choices=("power", "process")),
    Setting(
        "remembered",
        ["vision", "audio", "depth", "thermal", "imu"],
        "Modalities whose embedding topics are remembered.",
        choices=("vision", "audio", "depth", "thermal", "imu"),
    ),
    Setting("novelty", 0.97, "Cosine from which an embedding is no news; 1: keep everything.", 0.01, 1.0),
    Setting("novelty_horizon", 60.0, "Seconds after which the same thing is news again.", 0.1, 1e6),
    Setting("max_age", 0.0, "Seconds that memories are kept; 0: for ever.", 0.0, 1e10),
    Setting("max_moments", 0, "Memories kept at most; 0: without limit.", 0, 2_000_000_000),
    Setting("max_size", 0, "MiB on the disk at most, thumbnails included; 0: without limit.", 0, 1 << 31),
    Setting("thumbnails", True, "Keep a small picture with each memory, if there is a camera."),
    Setting("thumbnail_side", 160, "Longer side of a thumbnail in pixels.", 16, 1024),
    Setting("pose_frame", "map", "Fixed frame that poses are stored in."),
    Setting(
        "vocabulary",
        "",
        "File with the texts of ~/describe, one a line; empty: what the embedded model knows.",
        path=READ,
    ),
]


class MemoryNode(ManagedNode):
    """Stores on a writer thread in group commits; encodes queries and searches on the inference thread."""

    def __init__(self, name: str = "memory", **options: Any) -> None:
        super().__init__(name, SETTINGS, **options)
        self._encoder: Any = None
        self._memory: Any = None
        self._descriptions: Any = None
        self._answering: list[Any] = []
        self._scheduler: Scheduler | None = None
        self._requests: Requests | None = None
        self._writer: MemoryWriter | None = None
        self._pictures: Pictures | None = None
        self._poses: Poses | None = None
        self._search_times = StageTimes()

    def configure(self) -> None:
        from imagebind_msgs.srv import Describe, Forget, Search

        from imagebind_node.nodes.descriptions import Descriptions

        self._encoder = load_model(self.settings)
        self._memory = self._open()
        self._descriptions = Descriptions(self._encoder, self.settings["vocabulary"], self._folder())
        self._answering = [
            self.create_service(kind, f"~/{name}", partial(self._answer, name, work))
            for kind, name, work in (
                (Search, "search", self._search),
                (Forget, "forget", self._forget),
                (Describe, "describe", self._describe),
            )
        ]
        self.diagnostics.add("memory", self._report)
        self.get_logger().info(f"{self._memory.store.count()} memories of space {self._encoder.space.id!r}")

    def _open(self) -> Any:
        from imagebind_node.memory.memory import Memory, Retention
        from imagebind_node.memory.novelty import NoveltyGate
        from imagebind_node.memory.store import open_memory

        space, settings = self._encoder.space, self.settings
        folder = self._folder()
        if settings["url"] and settings["max_size"]:
            raise InvalidInputError(
                "max_size limits a memory on this machine, and `url` names another: choose one"
            )
        store = (
            open_memory(settings["url"], space)
            if settings["url"]
            else open_memory(folder, space, durable=settings["durable"])
        )
        return Memory(
            store,
            robot=settings["robot"] or self.get_namespace().strip("/"),
            novelty=None
            if settings["novelty"] >= 1.0
            else NoveltyGate(settings["novelty"], settings["novelty_horizon"]),
            retention=Retention(
                settings["max_age"] or None,
                settings["max_moments"] or None,
                settings["max_size"] << 20 or None,
            ),
            media=folder if settings["thumbnails"] else None,
        )

    def _folder(self) -> Path:
        return Path(self.settings["directory"]) / self._encoder.space.id.replace("/", "-")

    def activate(self) -> None:
        from imagebind_msgs.msg import Embedding

        self._scheduler = Scheduler(self.errors.add)
        self._requests = Requests(self._scheduler, self)
        self._scheduler.start()
        self._descriptions.start(self._scheduler)
        if self.settings["thumbnails"]:
            self._pictures = Pictures(self, self.settings["thumbnail_side"])
        self._poses = Poses(self, self.settings["pose_frame"])
        self._writer = MemoryWriter(self._memory, self.errors.add, self.now)
        self._writer.start()
        for modality in self.settings["remembered"]:
            topic = f"embedding/{modality}"
            self.subscription(Embedding, topic, partial(self._remember, topic), qos.RESULT)

    def _remember(self, topic: str, message: Any) -> None:
        from imagebind_node.memory.memory import Impression

        received = embedding(message, self._encoder.space)
        if received.abstained or self._writer is None:
            return
        picture = None if self._pictures is None else self._pictures.near(received.stamp)
        pose = None if self._poses is None else self._poses.at(received.stamp, received.frame_id)
        self._writer.put(Impression(received, topic, pose, picture))

    def deactivate(self) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._requests is not None:
            self._requests.close()
        if self._scheduler is not None:
            self._scheduler.stop()
        if self._poses is not None:
            self._poses.close()
        self._writer = self._scheduler = self._requests = self._pictures = self._poses = None

    def cleanup(self) -> None:
        for service in self._answering:
            self.destroy_service(service)
        if self._memory is not None:
            self._memory.close()
            self.diagnostics.remove("memory")
        self._answering, self._memory, self._encoder, self._descriptions = [], None, None, None

    async def _answer(self, name: str, work: Any, request: Any, response: Any) -> Any:
        try:
            if self._requests is None:
                raise self.inactive_error()
            if name == "describe" and not request.vocabulary:
                await self._requests.until(self._descriptions.prepare())
            await self._requests.call(lambda: work(request, response))
            response.success = True
        except Exception as error:  # noqa: BLE001 - the client gets it, and the log
            self.errors.add(name, error)
            response = type(response)(success=False, message=" ".join(str(error).split()))
        return response

    def _search(self, request: Any, response: Any) -> None:
        from imagebind_node.arithmetic import combine_spherical, contributions
        from imagebind_node.embedding import combine
        from imagebind_node.nodes.contents import embed_content

        began = time.perf_counter()
        if not request.terms:
            raise InvalidInputError("a search needs at least one term")
        terms = [embed_content(content, self._encoder) for content in request.terms]
        weights = list(request.weights) or None
        if len(terms) == 1 and weights is None:
            query = terms[0]
        else:
            query = (combine_spherical if request.spherical else combine)(terms, weights)
        hits = self._find(query, request)
        if hits:
            shares = contributions(
                terms, query, np.stack([hit.vector for hit in hits if hit.vector is not None])
            )
            response.results = [
                result_message(hit, share, self._memory.thumbnail(hit) if request.thumbnails else None)
                for hit, share in zip(hits, shares)
            ]
        self._search_times.add(time.perf_counter() - began)

    def _find(self, query: Any, request: Any) -> list[Any]:
        from imagebind_node.memory.recency import search_newest

        limit, where, store = request.limit or 10, filter_of(request.filter), self._memory.store
        floor = float(request.min_score) or None
        if request.newest_first:
            return search_newest(store, query, limit, where, floor=floor, with_vectors=True)
        hits = store.search(query, limit, where, with_vectors=True)
        return hits if floor is None else [hit for hit in hits if hit.score >= floor]

    def _forget(self, request: Any, response: Any) -> None:
        if request.ids:
            response.forgotten = self._memory.store.forget_ids(list(request.ids))
            return
        where = filter_of(request.filter)
        if not where.conditions() and not request.everything:
            raise InvalidInputError(
                "the filter is empty: set `everything` to forget all that this memory holds"
            )
        response.forgotten = self._memory.forget(where)

    def _describe(self, request: Any, response: Any) -> None:
        self._descriptions.answer(request, response, self._memory.store)

    def _report(self) -> Report:
        if self._writer is None:
            return Report(OK, "inactive")
        values = {
            "memories": self._memory.store.count(),
            "stored": self._writer.stored,
            "skipped as known": self._memory.skipped,
            "waiting": self._writer.waiting,
            "dropped": self._writer.dropped,
            "commit p95 (ms)": self._writer.times.percentile(95) * 1e3,
            "search p95 (ms)": self._search_times.percentile(95) * 1e3,
            "poses": self._poses.state if self._poses is not None else "",
        }
        if self._writer.full:
            return Report(ERROR, self._writer.full, values)
        if self._writer.dropped:
            return Report(WARN, "embeddings came faster than the disk takes them", values)
        return Report(OK, "remembering", values)


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of the executable `memory`."""
    return run(lambda: [MemoryNode()], args)


if __name__ == "__main__":
    sys.exit(main())
