"""Generator node: the action `~/generate` draws pictures of what a sound, words, a picture or a sum of them say.

ros2 run imagebind_node generator
ros2 action send_goal -f /generator/generate imagebind_msgs/action/Generate \\
  "{terms: [{modality: text, text: a dog}], count: 2}"
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import Any

from rclpy.action import ActionServer, CancelResponse

from imagebind_node.errors import InvalidInputError
from imagebind_node.generation.base import GenerationCancelled, Picture
from imagebind_node.generation.options import backend_options
from imagebind_node.nodes import qos
from imagebind_node.nodes.base import ManagedNode
from imagebind_node.nodes.diagnostics import OK, Report
from imagebind_node.nodes.executor import run
from imagebind_node.nodes.models import load_model
from imagebind_node.nodes.parameters import Setting, model_settings
from imagebind_node.nodes.path_parameters import READ
from imagebind_node.nodes.requests import Requests
from imagebind_node.streaming.scheduler import Scheduler

SETTINGS = [
    *model_settings(["vision", "audio", "text"]),
    Setting(
        "guidance", 0.0, "How strongly the embedding is followed, 1 to 100; 0: the model's own.", 0.0, 100.0
    ),
    Setting(
        "judge",
        -1.0,
        "concept: how strongly what the image tower sees in the picture pulls it, 0 to 10; below 0: the card's.",
        -1.0,
        10.0,
    ),
    Setting(
        "folder",
        "",
        "imagebind_huge: Stable unCLIP in diffusers layout; empty: where it was pulled to.",
        path=READ,
    ),
    Setting(
        "memory",
        "slicing",
        "imagebind_huge: how memory is saved.",
        choices=("full", "slicing", "offload", "sequential"),
    ),
    Setting("safety_checker", True, "imagebind_huge: blacken pictures that the safety checker refuses."),
    Setting("noise_level", 0, "imagebind_huge: how much of the embedding is left open.", 0, 999),
    Setting("norm", 0.0, "imagebind_huge: length of the embeddings; 0: as the pipeline's own.", 0.0, 1e6),
]
STRIP = 5


class GeneratorNode(ManagedNode):
    """Draws one goal after another on the inference thread; a goal that is cancelled ends after its current step."""

    def __init__(self, name: str = "generator", **options: Any) -> None:
        super().__init__(name, SETTINGS, **options)
        self._encoder: Any = None
        self._generator: Any = None
        self._server: Any = None
        self._output: Any = None
        self._scheduler: Scheduler | None = None
        self._requests: Requests | None = None
        self._stopping = threading.Event()
        self._drawn = self._cancelled = 0

    def configure(self) -> None:
        from imagebind_msgs.action import Generate
        from sensor_msgs.msg import Image

        from imagebind_node.generation.base import load_generator

        self._encoder = load_model(self.settings)
        self._generator = load_generator(self._encoder, **self._options())
        self._output = self.publisher(Image, "generated/image", qos.RESULT)
        self._server = ActionServer(
            self,
            Generate,
            "~/generate",
            self._on_goal,
            cancel_callback=lambda _goal: CancelResponse.ACCEPT,
        )
        self.diagnostics.add("generation", self._report)
        self.get_logger().info(f"generator {self._generator.name} in space {self._generator.space.id}")

    def activate(self) -> None:
        self._stopping.clear()
        self._scheduler = Scheduler(self.errors.add)
        self._requests = Requests(self._scheduler, self)
        self._scheduler.start()

    def deactivate(self) -> None:
        self._stopping.set()
        if self._requests is not None:
            self._requests.close()
        if self._scheduler is not None:
            self._scheduler.stop()
        self._scheduler = self._requests = None

    def cleanup(self) -> None:
        self.diagnostics.remove("generation")
        if self._server is not None:
            self._server.destroy()
        self._server = self._generator = self._encoder = self._output = None

    def _options(self) -> dict[str, Any]:
        values = self.settings
        return backend_options(
            values["model"],
            guidance=values["guidance"] or None,
            judge=values["judge"] if values["judge"] >= 0 else None,
            folder=values["folder"] or None,
            memory=values["memory"],
            safety=values["safety_checker"],
            noise_level=values["noise_level"],
            norm=values["norm"] or None,
            device=values["device"],
            precision=values["precision"],
        )

    async def _on_goal(self, handle: Any) -> Any:
        from imagebind_msgs.action import Generate

        result = Generate.Result()
        requests = self._requests
        try:
            if requests is None:
                raise self.inactive_error()
            pictures = await requests.call(lambda: self._draw(handle))
        except GenerationCancelled as error:
            result.message = str(error)
            self._cancelled += 1
            if handle.is_cancel_requested:
                handle.canceled()
            else:
                handle.abort()
        except Exception as error:  # noqa: BLE001 - the client gets it, and the log
            self.errors.add("generate", error)
            result.message = " ".join(str(error).split())
            handle.abort()
        else:
            result.success = True
            result.images = [self._message(picture) for picture in pictures]
            result.seeds = [picture.seed for picture in pictures]
            result.withheld = [picture.withheld for picture in pictures]
            self._drawn += len(pictures)
            for image in result.images:
                self._output.publish(image)
            handle.succeed()
        return result

    def _draw(self, handle: Any) -> list[Picture]:
        from imagebind_msgs.action import Generate

        from imagebind_node.generation.interpolation import interpolate
        from imagebind_node.nodes.contents import embed_sum

        goal = handle.request

        def report(step: int, steps: int) -> None:
            if handle.is_cancel_requested:
                raise GenerationCancelled(f"cancelled after {step} of {steps} steps")
            if self._stopping.is_set():
                raise GenerationCancelled(f"the node was deactivated after {step} of {steps} steps")
            handle.publish_feedback(Generate.Feedback(step=step, steps=steps))

        if handle.is_cancel_requested:
            raise GenerationCancelled("cancelled before the first step")
        if not goal.terms:
            raise InvalidInputError("the goal has no terms: give at least one content")
        start = embed_sum(goal.terms, goal.weights, self._encoder)
        chosen = {"seed": goal.seed, "steps": goal.steps, "negative": goal.negative, "progress": report}
        if goal.end_terms:
            end = embed_sum(goal.end_terms, goal.end_weights, self._encoder)
            return self._generator.generate_strip(interpolate(start, end, goal.count or STRIP), **chosen)
        return self._generator.generate(start, count=goal.count or 1, **chosen)

    def _message(self, picture: Picture) -> Any:
        from imagebind_node.nodes.image_conversions import image_message

        return image_message(picture.pixels, "rgb8", self.now(), "")

    def _report(self) -> Report:
        values = {
            "pictures": self._drawn,
            "cancelled": self._cancelled,
            "errors": self.errors.counts["generate"],
        }
        return Report(OK, f"generator {self._generator.name}", values)


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of the executable `generator`."""
    return run(lambda: [GeneratorNode()], args)


if __name__ == "__main__":
    sys.exit(main())
