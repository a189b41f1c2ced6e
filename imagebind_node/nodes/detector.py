"""Detector node: what the query embedding means gets boxes in the camera's picture, and places where depth is.

The query is the live `embedding/audio`, or what `~/set_query` has pinned.

    ros2 run imagebind_node detector --ros-args -p min_score:=0.9
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from imagebind_node.errors import MissingDependencyError
from imagebind_node.nodes import qos
from imagebind_node.nodes.base import ManagedNode
from imagebind_node.nodes.detection_output import DetectionOutput
from imagebind_node.nodes.diagnostics import OK, WARN, Report
from imagebind_node.nodes.executor import run
from imagebind_node.nodes.models import load_model
from imagebind_node.nodes.parameters import Setting, model_settings
from imagebind_node.nodes.picture_input import PictureInput
from imagebind_node.nodes.places import Places
from imagebind_node.nodes.query import QueryState
from imagebind_node.nodes.requests import Requests
from imagebind_node.samples import ImageSample, Modality
from imagebind_node.streaming.scheduler import Scheduler
from imagebind_node.streaming.statistics import RateMeter, StageTimes

SETTINGS = [
    *model_settings(["vision", "audio", "text"]),
    Setting("detector", "", "Detector backend; empty for the one that goes with the model."),
    Setting("rate", 5.0, "Frames searched a second at most; 0: all.", 0.0, 1000.0, live=True),
    Setting(
        "max_age", 0.5, "Seconds after capture at which a frame is dropped; 0: never.", 0.0, 60.0, live=True
    ),
    Setting(
        "cue_half_life",
        1.0,
        "Seconds in which a sound that ended loses half of its score.",
        0.01,
        600.0,
        live=True,
    ),
    Setting(
        "cue_timeout", 2.0, "Seconds after which a sound that ended is forgotten.", 0.05, 600.0, live=True
    ),
    Setting(
        "max_cues",
        4,
        "Sounds searched for at once; the one not heard for longest makes room.",
        1,
        64,
        live=True,
    ),
    Setting(
        "min_score",
        -1.0,
        "Detections below this score are not published; below 0: what suits the detector, 0.95 for concept.",
        -1.0,
        1.0,
        live=True,
    ),
    Setting("max_detections", 10, "Detections in one frame at most.", 1, 1000, live=True),
    Setting("nms_iou", 0.5, "Overlap from which the weaker of two boxes is dropped.", 0.0, 1.0, live=True),
    Setting("live_label", "", "Class name of the live cue; empty: what the encoder recognised.", live=True),
    Setting("track_timeout", 1.0, "Seconds unseen after which a thing loses its id; 0: no ids.", 0.0, 60.0),
    Setting("depth_slop", 0.1, "Seconds between picture and depth, for detections_3d.", 0.0, 10.0, live=True),
    Setting(
        "transport",
        "auto",
        "Picture transport; auto takes the compressed topic while nobody publishes the raw one.",
        choices=("auto", "raw", "compressed"),
    ),
]
FRAMES, RESCORE = "frames", "rescore"
_CUE_TOPIC = "embedding/audio"
_CUE_CHECK_PERIOD = 0.1
_UNLIMITED_RATE = 30.0


class DetectorNode(ManagedNode):
    """Searches frames for the classes of its query on an inference thread, the newest once more for a new query."""

    def __init__(self, name: str = "detector", **options: Any) -> None:
        super().__init__(name, SETTINGS, **options)
        self._encoder: Any = None
        self._detector: Any = None
        self._query: QueryState | None = None
        self._output: DetectionOutput | None = None
        self._places: Places | None = None
        self._tracker: Any = None
        self._publishing = threading.Lock()
        self._frames: PictureInput | None = None
        self._scheduler: Scheduler | None = None
        self._rescorer: Scheduler | None = None
        self._requests: Requests | None = None
        self._service: Any = None
        self._cue_timer: Any = None
        self._stop_listening: Any = None
        self._newest: tuple[ImageSample, Any] | None = None
        self._published, self._latency = RateMeter(), StageTimes()

    def configure(self) -> None:
        from imagebind_msgs.srv import SetQuery

        from imagebind_node.detection.registry import default_detector, load_detector

        self._encoder = load_model(self.settings)
        backend = self.settings["detector"] or default_detector(self.settings["model"])
        self._detector = load_detector(backend, self._encoder)
        self._encoder.space.require_same(self._detector.space)
        self._query = QueryState(self, self._encoder, self._detector)
        self._output = DetectionOutput(self, self._detector)
        self._places = Places(self)
        self._tracker = self._make_tracker()
        self._service = self.create_service(SetQuery, "~/set_query", self._on_set_query)
        self.diagnostics.add("detection", self._report)
        self.get_logger().info(f"detector {backend} in space {self._detector.space.id}")

    def _make_tracker(self) -> Any:
        from imagebind_node.detection.tracking import Tracker

        rate, timeout = self.settings["rate"], self.settings["track_timeout"]
        if not timeout:
            return None
        try:
            # Detections reach it after `min_score`: all of them may start a track.
            return Tracker(rate=rate or _UNLIMITED_RATE, max_miss=timeout, min_score=0.0)
        except MissingDependencyError as error:
            self.get_logger().warning(f"detections get no ids: {error}")
            return None

    def activate(self) -> None:
        from imagebind_msgs.msg import Embedding

        scheduler = self._scheduler = Scheduler(self.errors.add)
        self._requests = Requests(scheduler, self)
        rate = self.settings["rate"]
        # A thread of its own: a new cue must not wait for the vision pass of the frame that is being searched.
        self._rescorer = Scheduler(self.errors.add)
        self._rescorer.add(RESCORE, 0.0, self._rescore)
        self._rescorer.start()
        scheduler.add(FRAMES, rate, self._search_frame, limit=False)
        self._frames = PictureInput(
            self,
            Modality.VISION,
            lambda: scheduler.notify(FRAMES),
            rate=rate,
            transport=self.settings["transport"],
        )
        scheduler.start()
        self._frames.open()
        assert self._places is not None
        self._places.open()
        name = self.resolve_topic_name(_CUE_TOPIC)
        if self.exchange.has_producer(name):
            self._stop_listening = self.exchange.listen(name, self._guarded_cue)
        else:
            self.subscription(Embedding, _CUE_TOPIC, self._on_cue_message, qos.RESULT)
        self._cue_timer = self.timer(_CUE_CHECK_PERIOD, self._check_cue_age)
        assert self._query is not None
        self._query.publish()

    def deactivate(self) -> None:
        if self._stop_listening is not None:
            self._stop_listening()
        if self._cue_timer is not None:
            self.destroy_timer(self._cue_timer)
        if self._frames is not None:
            self._frames.close()
        if self._places is not None:
            self._places.close()
        if self._requests is not None:
            self._requests.close()
        for scheduler in (self._scheduler, self._rescorer):
            if scheduler is not None:
                scheduler.stop()
        self._stop_listening = self._cue_timer = self._frames = None
        self._scheduler = self._rescorer = self._requests = self._newest = None

    def cleanup(self) -> None:
        self.diagnostics.remove("detection")
        if self._service is not None:
            self.destroy_service(self._service)
        self._service = self._query = self._output = self._detector = self._encoder = None
        self._places = self._tracker = None

    def _search_frame(self) -> None:
        assert self._frames is not None
        self._frames.gate.rate = self.settings["rate"]
        sample = self._frames.take(self.settings["max_age"])
        if isinstance(sample, ImageSample):
            regions = self._detector.regions(sample)
            self._newest = sample, regions
            self._score(sample, regions)

    def _rescore(self) -> None:
        """The query has changed: search the newest frame again, from the regions at hand."""
        newest = self._newest
        if newest is not None:
            self._score(*newest, again=True)

    def _score(self, sample: ImageSample, regions: Any, *, again: bool = False) -> None:
        query, output, places = self._query, self._output, self._places
        assert query is not None
        assert output is not None
        assert places is not None
        min_score = self.settings["min_score"]
        found = query.classes.detect(
            regions,
            min_score=min_score if min_score >= 0 else query.classes.default_min_score,
            max_detections=self.settings["max_detections"],
            nms_iou=self.settings["nms_iou"],
        )
        now = self.now()
        with self._publishing:
            newest = self._newest
            if newest is None or newest[0] is not sample:
                # Only while searching again: a newer frame came meanwhile, and was searched for the new query.
                return
            found = query.fade(found, now)
            ids = np.zeros(len(found), np.int64)
            if self._tracker is not None:
                ids = self._tracker.update(found, sample.stamp or now)
            # The heatmap needs the network, which belongs to the inference thread.
            output.publish(sample, found, ids, {} if again else query.embeddings())
            places.publish(sample, found, ids)
        self._published.tick()
        if sample.stamp > 0:
            self._latency.add((now - sample.stamp) / 1e9)

    def _on_cue_message(self, message: Any) -> None:
        from imagebind_node.nodes.conversions import embedding

        self._on_cue(embedding(message, self._detector.space))

    def _guarded_cue(self, cue: Any) -> None:
        # Called on the encoder's thread, which must not suffer from a cue that we refuse.
        try:
            self._detector.space.require_same(cue.space)
            self._on_cue(cue)
        except Exception as error:  # noqa: BLE001 - reported
            self.errors.add(_CUE_TOPIC, error)

    def _on_cue(self, cue: Any) -> None:
        query, rescorer = self._query, self._rescorer
        if query is not None and rescorer is not None and query.hear(cue, self.now()):
            rescorer.notify(RESCORE)

    def _check_cue_age(self) -> None:
        query, rescorer = self._query, self._rescorer
        if query is not None and rescorer is not None and query.expire(self.now()):
            rescorer.notify(RESCORE)

    async def _on_set_query(self, request: Any, response: Any) -> Any:
        query, rescorer, requests = self._query, self._rescorer, self._requests
        try:
            if query is None or rescorer is None or requests is None:
                raise self.inactive_error()
            response.message = await requests.call(lambda: query.set(request))
            response.success = True
            rescorer.notify(RESCORE)
        except Exception as error:  # noqa: BLE001 - the client gets it, and the log
            self.errors.add("set_query", error)
            response.success, response.message = False, " ".join(str(error).split())
        return response

    def _report(self) -> Report:
        frames, scheduler, query = self._frames, self._scheduler, self._query
        if frames is None or scheduler is None or query is None:
            return Report(OK, "inactive")
        work = scheduler.times(FRAMES)
        values = {
            "query": ", ".join(query.classes.matrix.labels) or "none (abstaining)",
            "query source": query.source,
            "input rate (Hz)": frames.arrivals.rate(),
            "input age (s)": frames.arrivals.age(),
            "detection rate (Hz)": self._published.rate(),
            "latency p50 (ms)": self._latency.percentile(50) * 1e3,
            "latency p95 (ms)": self._latency.percentile(95) * 1e3,
            "search p50 (ms)": work.percentile(50) * 1e3,
            "search p95 (ms)": work.percentile(95) * 1e3,
            "received": frames.received,
            "dropped": frames.dropped,
            "too old": frames.stale,
            "errors": sum(self.errors.counts.values()),
            "last error": next(reversed(self.errors.last.values()), ""),
        }
        if frames.received and frames.arrivals.rate() == 0:
            return Report(WARN, f"{frames.topic} has fallen silent", values)
        return Report(OK, "searching" if query.classes.matrix.labels else "abstaining", values)


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of the executable `detector`."""
    return run(lambda: [DetectorNode()], args)


if __name__ == "__main__":
    sys.exit(main())
