"""Recognizer node: `embedding/<modality>` in, `labels/<modality>` out.

ros2 run imagebind_node recognizer --ros-args -p class_set:=home.yaml
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from imagebind_node.errors import InvalidInputError
from imagebind_node.nodes import qos
from imagebind_node.nodes.base import ManagedNode
from imagebind_node.nodes.conversions import embedding
from imagebind_node.nodes.diagnostics import OK, Report
from imagebind_node.nodes.executor import run
from imagebind_node.nodes.models import load_model
from imagebind_node.nodes.parameters import Setting, model_settings
from imagebind_node.nodes.path_parameters import READ
from imagebind_node.streaming.statistics import RateMeter

SETTINGS = [
    *model_settings(["text"]),
    Setting(
        "class_set",
        "",
        "YAML file with the classes; empty: the set `home` that comes with the package.",
        path=READ,
    ),
    Setting(
        "few_shot",
        "",
        "Classes saved by `imagebind-node learn`, instead of a class set; no model is loaded.",
        path=READ,
    ),
    Setting(
        "recognized",
        ["vision", "audio"],
        "Modalities whose embeddings are recognised.",
        choices=("vision", "audio", "depth", "thermal", "imu"),
    ),
    Setting(
        "rate",
        2.0,
        "Labels a second and modality at most; 0: one for every embedding.",
        0.0,
        1000.0,
        live=True,
    ),
    Setting("top", 5, "Labels in a message.", 1, 1000, live=True),
]


class RecognizerNode(ManagedNode):
    """The text tower is needed only to configure: a matrix product names an embedding."""

    def __init__(self, name: str = "recognizer", **options: Any) -> None:
        super().__init__(name, SETTINGS, **options)
        self._classifier: Any = None
        self._class_set = ""
        self._outputs: dict[str, Any] = {}
        self._classifications: dict[str, Any] = {}
        self._last: dict[str, int] = {}
        self._rates: dict[str, RateMeter] = {}

    def configure(self) -> None:
        from imagebind_msgs.msg import Labels

        self._load_classes()
        for modality in self.settings["recognized"]:
            self._outputs[modality] = self.publisher(Labels, f"labels/{modality}", qos.RESULT)
            self._rates[modality] = RateMeter()
            self._add_classification(modality)
        self.diagnostics.add("recognition", self._report)

    def _load_classes(self) -> None:
        if self.settings["few_shot"]:
            from imagebind_node.recognition.few_shot import load_few_shot

            if self.settings["class_set"]:
                raise InvalidInputError("class_set and few_shot are both given: choose one")
            self._classifier = load_few_shot(self.settings["few_shot"])
            self._class_set = Path(self.settings["few_shot"]).stem
            return
        from imagebind_node.recognition.class_set import bundled_class_set, read_class_set
        from imagebind_node.recognition.zero_shot import ZeroShotClassifier, text_encoder
        from imagebind_node.samples import parse_modality

        class_set = read_class_set(self.settings["class_set"] or bundled_class_set("home"))
        encoder = load_model(self.settings)
        self._classifier = ZeroShotClassifier(class_set, encoder.space, text_encoder(encoder))
        self._class_set = class_set.name
        for modality in self.settings["recognized"]:
            self._classifier.rows(parse_modality(modality))

    def _add_classification(self, modality: str) -> None:
        try:
            from vision_msgs.msg import Classification
        except ImportError:
            return
        topic = f"classification/{modality}"
        self._classifications[modality] = self.publisher(Classification, topic, qos.RESULT)

    def activate(self) -> None:
        from imagebind_msgs.msg import Embedding

        for modality in self._outputs:
            topic = f"embedding/{modality}"
            self.subscription(Embedding, topic, partial(self._recognise, modality), qos.RESULT)

    def _recognise(self, modality: str, message: Any) -> None:
        from imagebind_msgs.msg import Labels

        received = embedding(message, self._classifier.space)
        rate = self.settings["rate"]
        since = received.stamp - self._last.get(modality, 0)
        if rate > 0 and 0 <= since < 1e9 / rate:
            return
        self._last[modality] = received.stamp
        found = self._classifier.recognise(received, self.settings["top"])
        self._outputs[modality].publish(
            Labels(
                header=message.header,
                modality=modality,
                class_set=self._class_set,
                labels=list(found.labels),
                probabilities=list(found.probabilities),
                abstained=found.abstained,
            )
        )
        if modality in self._classifications and not found.abstained:
            self._classifications[modality].publish(_classification(message.header, found))
        self._rates[modality].tick()

    def cleanup(self) -> None:
        if self._classifier is not None:
            self.diagnostics.remove("recognition")
        self._classifier = None
        self._outputs, self._classifications, self._last, self._rates = {}, {}, {}, {}

    def _report(self) -> Report:
        values = {f"{modality} rate (Hz)": rate.rate() for modality, rate in self._rates.items()}
        return Report(OK, f"class set {self._class_set}", values)


def _classification(header: Any, found: Any) -> Any:
    from vision_msgs.msg import Classification, ObjectHypothesis

    return Classification(
        header=header,
        results=[
            ObjectHypothesis(class_id=label, score=probability)
            for label, probability in zip(found.labels, found.probabilities)
        ],
    )


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of the executable `recognizer`."""
    return run(lambda: [RecognizerNode()], args)


if __name__ == "__main__":
    sys.exit(main())
