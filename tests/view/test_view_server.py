"""Rerun's real server as a child: where it listens, who looks, how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import psutil
import pytest

pytest.importorskip("rerun", reason="needs the extra view")
import rerun as rr
from drawings import wait_until

from imagebind_node.errors import DeviceError, InvalidInputError, MissingDependencyError
from imagebind_node.view import server
from imagebind_node.view.output import Output
from imagebind_node.view.server import ServerConfig, ViewerServer, rerun_program


def free_ports(count=2):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def local_config(**options):
    web_port, data_port = free_ports()
    return ServerConfig(web_port=web_port, data_port=data_port, **options)


@pytest.fixture
def running_server():
    started = ViewerServer(local_config())
    started.start()
    yield started
    started.stop()


def test_bad_addresses_and_ports_are_refused():
    with pytest.raises(InvalidInputError, match="'robot' is not an IP address"):
        ServerConfig(bind_address="robot")
    with pytest.raises(InvalidInputError, match="two different ports"):
        ServerConfig(web_port=9000, data_port=9000)
    with pytest.raises(InvalidInputError, match="web_port must be 1 to 65535, got 70000"):
        ServerConfig(web_port=70000)


def test_urls_name_what_the_browser_can_reach(monkeypatch):
    local = "http://127.0.0.1:9090/?url=rerun%2Bhttp%3A%2F%2F127.0.0.1%3A9876%2Fproxy&theme=dark&hide_welcome_screen"
    assert ServerConfig().page_urls == [local]
    families = {"127.0.0.1": 2, "192.168.3.7": 2, "fe80::1%eth0": 10, "2001:db8::7": 10, "::1": 10}
    interfaces = {
        host: [SimpleNamespace(family=socket.AddressFamily(number), address=host)]
        for host, number in families.items()
    }
    monkeypatch.setattr(server.psutil, "net_if_addrs", lambda: interfaces)
    name = socket.gethostname()
    for bind, hosts in (
        ("0.0.0.0", ["192.168.3.7", name]),
        ("::", ["192.168.3.7", "[2001:db8::7]", name]),
        ("192.168.3.7", ["192.168.3.7"]),
    ):
        pages = ServerConfig(bind_address=bind).page_urls
        assert [page.partition("/?")[0] for page in pages] == [f"http://{host}:9090" for host in hosts]
        assert all(quote(f"//{host}:9876/", safe="") in page for host, page in zip(hosts, pages))
    assert ServerConfig(bind_address="0.0.0.0").data_url == "rerun+http://127.0.0.1:9876/proxy"
    assert ServerConfig(bind_address="::").data_url == "rerun+http://[::1]:9876/proxy"


def test_listens_where_it_was_told_only(running_server):
    config = running_server.config
    process = psutil.Process(running_server._process.pid)
    listening = [c.laddr for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert sorted(listening) == sorted([("127.0.0.1", config.web_port), ("127.0.0.1", config.data_port)])


def test_counts_others_but_not_this_process(running_server):
    output = Output()
    output.connect(running_server.config.data_url)
    output.live = True
    output.log("x", 1, rr.Scalars(1.0))
    assert running_server.viewers() == 0
    # Another process that receives the data, as a browser does.
    viewer = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); sys.stdin.read()",
            str(running_server.config.data_port),
        ],
        stdin=subprocess.PIPE,
    )
    wait_until(lambda: running_server.viewers() == 1, "one viewer")
    viewer.communicate()
    wait_until(lambda: running_server.viewers() == 0, "no viewer")
    output.close()


def test_a_taken_port_is_named(running_server):
    config = running_server.config
    with pytest.raises(DeviceError, match=f"port {config.web_port}: Address already in use; choose another"):
        ViewerServer(config).start()
    assert running_server.is_running


def test_ends_with_its_parent():
    config = local_config()
    code = (
        "import sys, time; from imagebind_node.view.server import *;"
        f"s = ViewerServer(ServerConfig(web_port={config.web_port}, data_port={config.data_port})); s.start();"
        "print(s._process.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    wait_until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie", "its end")


def test_says_when_it_was_killed_and_starts_again(running_server):
    os.kill(running_server._process.pid, signal.SIGKILL)
    wait_until(lambda: not running_server.is_running, "its end")
    assert running_server.viewers() == 0
    running_server.stop()
    running_server.start()
    assert running_server.is_running


def test_usage_statistics_are_off(running_server):
    process = psutil.Process(running_server._process.pid)
    settings = Path(process.environ()["XDG_CONFIG_HOME"]) / "rerun" / "analytics.json"
    assert json.loads(settings.read_text())["analytics_enabled"] is False


def test_without_rerun_the_mend_is_named(monkeypatch):
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'imagebind_node\[view\]'"):
        rerun_program()
