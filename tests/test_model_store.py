"""Fetching and checking model files, against a real HTTP server on this machine."""

from __future__ import annotations

import hashlib
import http.server
import re
import socket
import threading

import pytest
import torch

from imagebind_node import model_store
from imagebind_node.errors import InvalidInputError, ModelFileError
from imagebind_node.model_store import list_models, model_folder, pull, read_model_card, verify

BODY = bytes(range(256)) * 20_000


class _Server(http.server.ThreadingHTTPServer):
    """Serves `body` with byte ranges. `cut`: close the connection after so many bytes of a response, once."""

    def __init__(self, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.body = body
        self.cut: int | None = None
        self.ranges = True
        self.requests: list[str | None] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of these tests."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/imagebind_huge.pth"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.requests.append(wanted)
        body, start = self.server.body, 0
        if wanted and self.server.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            if start >= len(body):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        part = body[start:]
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        cut, self.server.cut = self.server.cut, None
        self.wfile.write(part[:cut])
        if cut is not None:
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


@pytest.fixture
def server():
    with _Server(BODY) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    """A cache folder and a models folder of the test's own, whose card describes BODY."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "models" / "imagebind_huge"
    folder.mkdir(parents=True)
    monkeypatch.setenv("IMAGEBIND_NODE_MODELS", str(tmp_path / "models"))
    write_card(folder, hashlib.sha256(BODY).hexdigest(), len(BODY))
    return folder


def write_card(folder, digest, size):
    from imagebind_node.encoders.concept.weights import read_card

    (folder / "card.yaml").write_text(
        "space: {id: imagebind_huge, dim: 1024}\n"
        "licence: {name: CC BY-NC-SA 4.0, url: 'https://creativecommons.org/x', terms: no commerce}\n"
        "files:\n  imagebind_huge.pth:\n    url: http://127.0.0.1:9/imagebind_huge.pth\n"
        f"    size: {size}\n    sha256: {digest}\n"
    )
    read_card.cache_clear()


@pytest.fixture(autouse=True)
def _forget_cards():
    from imagebind_node.encoders.concept.weights import read_card

    yield
    read_card.cache_clear()


def test_download_arrives_whole_with_progress(server):
    seen = []
    (path,) = pull("imagebind_huge", accept_licence=True, url=server.url, progress=lambda *a: seen.append(a))
    assert path == model_folder("imagebind_huge") / "imagebind_huge.pth"
    assert path.read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert [p.name for p in path.parent.iterdir()] == ["imagebind_huge.pth"]
    pull("imagebind_huge", accept_licence=True, url=server.url)
    assert len(server.requests) == 1


def test_interrupted_download_is_resumed_where_it_stopped(server):
    server.cut = 3_000_000
    with pytest.raises(ModelFileError, match="resume"):
        pull("imagebind_huge", accept_licence=True, url=server.url)
    part = model_folder("imagebind_huge") / "imagebind_huge.pth.part"
    have = part.stat().st_size
    assert 0 < have <= 3_000_000
    assert not part.with_suffix("").exists()
    (path,) = pull("imagebind_huge", accept_licence=True, url=server.url)
    assert path.read_bytes() == BODY
    assert server.requests == [None, f"bytes={have}-"]


def test_server_without_ranges_starts_again(server):
    server.ranges, server.cut = False, 100_000
    with pytest.raises(ModelFileError):
        pull("imagebind_huge", accept_licence=True, url=server.url)
    (path,) = pull("imagebind_huge", accept_licence=True, url=server.url)
    assert path.read_bytes() == BODY


def test_altered_file_is_set_aside_and_never_used(server):
    server.body = BODY[:-1] + b"!"
    with pytest.raises(ModelFileError, match="SHA-256 .* instead of"):
        pull("imagebind_huge", accept_licence=True, url=server.url)
    folder = model_folder("imagebind_huge")
    assert [path.name for path in folder.iterdir()] == ["imagebind_huge.pth.rejected"]
    server.body = BODY
    (path,) = pull("imagebind_huge", accept_licence=True, url=server.url)
    assert path.read_bytes() == BODY


def test_file_of_another_size_is_refused_before_it_is_fetched(server):
    server.body = BODY + b"more"
    with pytest.raises(ModelFileError, match=f"offers {len(BODY) + 4} bytes, expected {len(BODY)}"):
        pull("imagebind_huge", accept_licence=True, url=server.url)


def test_licence_must_be_accepted(server):
    with pytest.raises(InvalidInputError, match="CC BY-NC-SA 4.0.*--accept-licence"):
        pull("imagebind_huge", accept_licence=False, url=server.url)
    assert server.requests == []
    assert "no commerce" in model_store.licence_text("imagebind_huge")


def test_no_network_tells_how_to_place_the_file_by_hand():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/x"
        with pytest.raises(ModelFileError) as error:
            pull("imagebind_huge", accept_licence=True, url=url)
    message = str(error.value)
    assert "no connection" in message
    assert f"copy it to {model_folder('imagebind_huge') / 'imagebind_huge.pth'}" in message
    assert "\n" not in message


def test_missing_page_and_other_protocols(server, tmp_path):
    server.ranges = True
    part = model_folder("imagebind_huge") / "imagebind_huge.pth.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * (len(BODY) - 1))
    server.body = b"short"
    with pytest.raises(ModelFileError, match="shorter than what was fetched"):
        pull("imagebind_huge", accept_licence=True, url=server.url)
    assert not part.exists()
    (tmp_path / "f").write_bytes(BODY)
    with pytest.raises(ModelFileError, match="only http"):
        pull("imagebind_huge", accept_licence=True, url=(tmp_path / "f").as_uri())


def test_cache_folder_follows_xdg_and_never_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert model_store.cache_root() == tmp_path / ".cache" / "imagebind_node"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert model_store.cache_root() == tmp_path / ".cache" / "imagebind_node"


def test_verify_names_what_is_wrong(server, models):
    with pytest.raises(ModelFileError, match="missing: run imagebind-node models pull"):
        verify("imagebind_huge")
    (path,) = pull("imagebind_huge", accept_licence=True, url=server.url)
    with pytest.raises(ModelFileError, match="not a PyTorch checkpoint"):
        verify("imagebind_huge")
    path.write_bytes(b"short")
    with pytest.raises(ModelFileError, match="5 bytes instead of"):
        verify("imagebind_huge")
    torch.save({"a": torch.ones(2)}, path)
    write_card(models, hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
    with pytest.raises(ModelFileError, match="1 unknown entries"):
        verify("imagebind_huge")
    with pytest.raises(InvalidInputError, match="unknown model 'other'"):
        verify("other")


def test_shipped_cards(monkeypatch, tmp_path):
    from imagebind_node.encoders.concept.weights import read_card

    monkeypatch.delenv("IMAGEBIND_NODE_MODELS")
    read_card.cache_clear()
    huge = read_model_card("imagebind_huge")
    assert (huge.space, huge.dim, huge.bundled, huge.licence) == (
        "imagebind_huge",
        1024,
        False,
        "CC BY-NC-SA 4.0",
    )
    assert re.fullmatch("[0-9a-f]{64}", huge.files[0].sha256)
    states = {status.card.name: status.state for status in list_models()}
    assert states == {
        "concept": "ready",
        "concept_decoder": "ready",
        "imagebind_huge": "missing",
        "stable_unclip": "missing",
    }
    model_folder("imagebind_huge").mkdir(parents=True)
    (model_folder("imagebind_huge") / "imagebind_huge.pth.part").write_bytes(b"x")
    assert {s.card.name: s.state for s in list_models()}["imagebind_huge"] == "incomplete"
    assert all("sha256" in line for line in verify("concept"))
