"""View node: shows in a browser what the robot senses and finds, and records it. Subscribes only while it is needed.

ros2 run imagebind_node view --ros-args -p bind_address:=0.0.0.0 -p record:=%Y%m%d_%H%M%S.rrd
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from imagebind_node.errors import DeviceError
from imagebind_node.nodes.base import ManagedNode
from imagebind_node.nodes.diagnostics import OK, WARN, Report
from imagebind_node.nodes.executor import run
from imagebind_node.nodes.parameters import Setting
from imagebind_node.nodes.path_parameters import WRITE
from imagebind_node.nodes.view_inputs import ViewInputs
from imagebind_node.view.server import LOOPBACK, ServerConfig, ViewerServer, rerun_program

_DEFAULTS = ServerConfig()
SETTINGS = [
    Setting(
        "bind_address",
        LOOPBACK,
        "IP address that the page is served at; 0.0.0.0: every interface, for anyone who can reach it.",
    ),
    Setting("web_port", _DEFAULTS.web_port, "TCP port of the page.", 1, 65535),
    Setting("data_port", _DEFAULTS.data_port, "TCP port that the page gets its data from.", 1, 65535),
    Setting(
        "memory_mb",
        _DEFAULTS.memory_mb,
        "Megabytes of the past that are kept for viewers that come late.",
        1,
        65536,
    ),
    Setting(
        "record",
        "",
        "File (.rrd) to write everything to, also while nobody looks; may hold the codes of strftime; empty: none.",
        path=WRITE,
    ),
    Setting("record_limit_mb", 2000, "Megabytes after which the file is closed.", 1, 1_000_000),
    Setting("rate", 10.0, "Pictures of each kind a second at most.", 0.1, 60.0),
    Setting("side", 640, "Pixels to which pictures are scaled down.", 16, 4096),
    Setting("sound_seconds", 10.0, "Length of the spectrogram in seconds.", 1.0, 60.0),
    Setting("map_capacity", 300, "Recent embeddings on the map of the embedding space.", 3, 2000),
    Setting(
        "transport",
        "auto",
        "Picture transport; auto takes the compressed topic while nobody publishes the raw one.",
        choices=("auto", "raw", "compressed"),
    ),
]
_LOOK_PERIOD = 1.0


class ViewNode(ManagedNode):
    """Owns the viewer's server. Once a second it asks who is connected, and subscribes or unsubscribes."""

    def __init__(self, name: str = "view", **options: Any) -> None:
        super().__init__(name, SETTINGS, **options)
        self._server: ViewerServer | None = None
        self._output: Any = None
        self._inputs: ViewInputs | None = None
        self._timer: Any = None
        self._viewers = 0

    @property
    def is_showing(self) -> bool:
        """True while the node is subscribed: somebody looks, or it records."""
        return self._inputs is not None

    def configure(self) -> None:
        rerun_program()
        from imagebind_node.view.output import Output

        value = self.settings
        self._server = ViewerServer(
            ServerConfig(value["bind_address"], value["web_port"], value["data_port"], value["memory_mb"])
        )
        self._output = Output()
        self._start_server()
        self.diagnostics.add("view", self._report)
        self.get_logger().info(f"open {' or '.join(self._server.config.page_urls)}")
        if not self._server.config.is_local:
            self.get_logger().warning(
                f"anyone who can reach {value['bind_address']} sees what the robot sees: there is no password"
            )

    def activate(self) -> None:
        if self.settings["record"]:
            path = self._output.record(self.settings["record"], self.settings["record_limit_mb"])
            self.get_logger().info(f"recording to {path}")
        self._look()
        self._timer = self.timer(_LOOK_PERIOD, self._look)

    def deactivate(self) -> None:
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None
        self._close_inputs()
        if self._output is not None:
            self._output.close_file()

    def cleanup(self) -> None:
        self.diagnostics.remove("view")
        if self._output is not None:
            self._output.close()
        if self._server is not None:
            self._server.stop()
        self._server = self._output = None

    def _start_server(self) -> None:
        assert self._server is not None
        self._server.start()
        self._output.connect(self._server.config.data_url)

    def _look(self) -> None:
        server, output = self._server, self._output
        assert server is not None
        if not server.is_running:
            self.errors.add("server", DeviceError(f"the view's server ended: {server.last_word()}"))
            self._close_inputs()
            server.stop()
            self._start_server()
        self._viewers = server.viewers()
        output.live = self._viewers > 0
        full = output.end_full_file()
        if full:
            self.get_logger().warning(f"recording has ended: {full}")
        if output.is_wanted and self._inputs is None:
            self._open_inputs()
        elif not output.is_wanted:
            self._close_inputs()

    def _open_inputs(self) -> None:
        from imagebind_node.view.drawer import Drawer

        value = self.settings
        drawer = Drawer(
            self._output,
            self.now,
            side=value["side"],
            sound_seconds=value["sound_seconds"],
            map_capacity=value["map_capacity"],
        )
        self._inputs = ViewInputs(self, drawer, rate=value["rate"], transport=value["transport"])
        self._inputs.open()

    def _close_inputs(self) -> None:
        if self._inputs is not None:
            self._inputs.close()
            self._inputs = None

    def _report(self) -> Report:
        server, output = self._server, self._output
        if server is None:
            return Report(OK, "inactive")
        values = {
            "viewers": self._viewers,
            "page": " or ".join(server.config.page_urls),
            "recorded (MB)": output.file_bytes / 1e6,
            "errors": sum(self.errors.counts.values()),
            "last error": next(reversed(self.errors.last.values()), ""),
        }
        if not server.is_running:
            return Report(WARN, f"the view's server ended: {server.last_word()}", values)
        if self.is_showing:
            return Report(OK, f"showing to {self._viewers}" if self._viewers else "recording", values)
        return Report(OK, "nobody looks", values)


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of the executable `view`."""
    return run(lambda: [ViewNode()], args)


if __name__ == "__main__":
    sys.exit(main())
