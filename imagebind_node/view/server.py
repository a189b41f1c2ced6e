"""Rerun's server and web viewer as a child process, and the number of viewers that look."""

from __future__ import annotations

import ctypes
import ipaddress
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil

from imagebind_node.errors import DeviceError, InvalidInputError, MissingDependencyError

LOOPBACK = "127.0.0.1"
_START_SECONDS = 30.0
_STOP_SECONDS = 3.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # here, since nothing may be loaded between fork and exec


@dataclass(frozen=True)
class ServerConfig:
    """Where the view is served.

    bind_address: IP address; 127.0.0.1 is this machine only, 0.0.0.0 every interface. web_port: the page (HTTP);
    data_port: what the page and Rerun's native viewer connect to (gRPC). memory_mb: of the past that is kept for
    viewers that come late. Raises InvalidInputError.
    """

    bind_address: str = LOOPBACK
    web_port: int = 9090
    data_port: int = 9876
    memory_mb: int = 256

    def __post_init__(self) -> None:
        try:
            ipaddress.ip_address(self.bind_address)
        except ValueError:
            raise InvalidInputError(
                f"bind_address {self.bind_address!r} is not an IP address: "
                "use 127.0.0.1, or 0.0.0.0 for all interfaces"
            ) from None
        for name in ("web_port", "data_port"):
            if not 1 <= getattr(self, name) <= 65535:
                raise InvalidInputError(f"{name} must be 1 to 65535, got {getattr(self, name)}")
        if self.web_port == self.data_port:
            raise InvalidInputError(
                f"web_port and data_port are both {self.web_port}: choose two different ports"
            )

    @property
    def is_local(self) -> bool:
        """True if only this machine can connect."""
        return ipaddress.ip_address(self.bind_address).is_loopback

    @property
    def data_url(self) -> str:
        """What this machine's SDK connects to."""
        return self._data_url(self.own_address)

    @property
    def page_urls(self) -> list[str]:
        """What to open in a browser, for each address of this machine that is served, and for its name."""
        address = ipaddress.ip_address(self.bind_address)
        if not address.is_unspecified:
            return [self._page_url(self.bind_address)]
        hosts = [*_interface_addresses(ipv6=address.version == 6), socket.gethostname()]
        return [self._page_url(host) for host in hosts]

    @property
    def own_address(self) -> str:
        """How this machine itself reaches the server."""
        address = ipaddress.ip_address(self.bind_address)
        if not address.is_unspecified:
            return self.bind_address
        return LOOPBACK if address.version == 4 else "::1"

    def _page_url(self, host: str) -> str:
        # The viewer's light theme writes labels in the colour of their box on light grey: hardly to be read.
        return (
            f"http://{_in_url(host)}:{self.web_port}/?url={quote(self._data_url(host), safe='')}"
            "&theme=dark&hide_welcome_screen"
        )

    def _data_url(self, host: str) -> str:
        return f"rerun+http://{_in_url(host)}:{self.data_port}/proxy"


class ViewerServer:
    """Runs Rerun's server until `stop`. `file`: a recording to show instead of live data."""

    def __init__(self, config: ServerConfig, file: Path | None = None) -> None:
        self.config = config
        self._file = file
        self._process: subprocess.Popen | None = None
        self._scratch: tempfile.TemporaryDirectory | None = None

    def start(self) -> None:
        """Start and wait until both ports answer.

        Raises MissingDependencyError without Rerun, DeviceError if a port is taken or the server ends.
        """
        program = rerun_program()
        for port in (self.config.web_port, self.config.data_port):
            self._require_free(port)
        self._scratch = tempfile.TemporaryDirectory(prefix="imagebind_node_view_")
        folder = Path(self._scratch.name)
        with (folder / "rerun.log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(program), *self._arguments()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(folder),
                # Ctrl-C is for this process, which ends the server when all is written.
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if not self.is_running or time.monotonic() > deadline:
                word = self.last_word()
                self.stop()
                raise DeviceError(f"the view's server did not start: {word}")
            time.sleep(0.05)

    @property
    def is_running(self) -> bool:
        """False before `start`, after `stop`, and when the server has ended by itself."""
        return self._process is not None and self._process.poll() is None

    def viewers(self) -> int:
        """Browsers and native viewers that are connected now; this process does not count."""
        if self._process is None or not self.is_running:
            return 0
        ours = {_endpoint(c.laddr) for c in _connections(os.getpid()) if c.raddr}
        return sum(
            c.status == psutil.CONN_ESTABLISHED
            and c.laddr.port == self.config.data_port
            and _endpoint(c.raddr) not in ours
            for c in _connections(self._process.pid)
        )

    def last_word(self) -> str:
        """Last line that the server has written."""
        if self._scratch is None:
            return "it was never started"
        log = Path(self._scratch.name) / "rerun.log"
        lines = log.read_text("utf8", "replace").strip().splitlines()
        return lines[-1] if lines else "it wrote no log"

    def stop(self) -> None:
        """End the server. May be called twice."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._scratch is not None:
            self._scratch.cleanup()
        self._process = self._scratch = None

    def _arguments(self) -> list[str]:
        config = self.config
        words = ["--serve-web", "--bind", config.bind_address, "--port", str(config.data_port)]
        words += ["--web-viewer-port", str(config.web_port), "--server-memory-limit", f"{config.memory_mb}MB"]
        if not config.is_local:
            # Otherwise the server answers only to pages that came from localhost.
            words += ["--cors-allow-origin", f"http://*:{config.web_port}"]
        return words if self._file is None else [*words, str(self._file)]

    def _require_free(self, port: int) -> None:
        family = socket.AF_INET6 if ":" in self.config.bind_address else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.config.bind_address, port))
            except OSError as error:
                raise DeviceError(
                    f"cannot serve the view at {self.config.bind_address} port {port}: {error.strerror}; "
                    "choose another web_port or data_port"
                ) from None

    def _answers(self) -> bool:
        for port in (self.config.web_port, self.config.data_port):
            try:
                socket.create_connection((self.config.own_address, port), 1.0).close()
            except OSError:
                return False
        return True


def rerun_program() -> Path:
    """Rerun's program in its wheel. Raises MissingDependencyError if it is not installed."""
    spec = find_spec("rerun_cli")
    program = Path(spec.origin).parent / "rerun" if spec is not None and spec.origin else None
    if program is None or not program.is_file():
        raise MissingDependencyError(
            "the view needs Rerun, which is not installed: pip install 'imagebind_node[view]'"
        )
    return program


def _environment(folder: Path) -> dict[str, str]:
    """Of the server: with Rerun's usage statistics off, whatever the user's own setting of it is."""
    settings = folder / "rerun" / "analytics.json"
    settings.parent.mkdir()
    settings.write_text(
        json.dumps(
            {
                "analytics_enabled": False,
                "analytics_id": "0" * 32,
                "metadata": {},
                "config_file_path": str(settings),
                "data_dir_path": str(folder / "analytics"),
            }
        )
    )
    return {**os.environ, "XDG_CONFIG_HOME": str(folder), "NO_COLOR": "1"}


def _die_with_parent() -> None:
    # A node that is killed must not leave a server behind that holds its ports.
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _connections(pid: int) -> list:
    try:
        return psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return []


def _endpoint(address: tuple) -> tuple:
    """(host, port), the same for IPv4 and for IPv4 mapped into IPv6."""
    return (address[0].removeprefix("::ffff:"), address[1]) if address else ()


def _interface_addresses(ipv6: bool) -> list[str]:
    """By which others reach this machine now: IPv4, then IPv6 if asked for; neither loopback nor link-local."""
    families = [socket.AF_INET, *([socket.AF_INET6] if ipv6 else [])]
    found = [a for addresses in psutil.net_if_addrs().values() for a in addresses]
    hosts = [a.address for family in families for a in found if a.family == family]
    return [h for h in hosts if "%" not in h and not ipaddress.ip_address(h).is_loopback]


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
