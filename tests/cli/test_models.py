"""Model cards, checks and fetching, without a network."""

from __future__ import annotations

import http.server
import threading

import pytest


def test_list_and_verify(cli):
    document = cli("models", "list", "--json").document
    assert document["schema"] == "imagebind_node.models_list/1"
    models = {model["name"]: model for model in document["models"]}
    assert models["concept"]["state"] == "ready"
    assert models["concept"]["bundled"]
    assert models["imagebind_huge"]["dim"] == 1024
    assert "NC" in models["imagebind_huge"]["licence"]
    checked = cli("models", "verify", "concept", "--json").document["models"]["concept"]
    assert len(checked) == len(models["concept"]["files"])
    assert all("sha256" in line for line in checked)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_a_model_that_is_not_here_says_how_to_get_it(refused, cache):
    assert "models pull imagebind_huge" in refused("embed", "text:dog", "--model", "imagebind_huge")
    assert "models pull imagebind_huge" in refused("models", "verify", "imagebind_huge")


def test_pull_shows_the_terms_and_needs_acceptance(cli, cache):
    outcome = cli("models", "pull", "imagebind_huge")
    assert outcome.status == 2
    assert "CC BY-NC-SA 4.0" in outcome.err
    assert outcome.err.strip().splitlines()[-1].endswith("--accept-licence")


def test_pull_without_a_network_says_how_to_place_the_file(cli, cache):
    outcome = cli(
        "models",
        "pull",
        "imagebind_huge",
        "--accept-licence",
        "--url",
        "http://127.0.0.1:9/imagebind_huge.pth",
    )
    assert outcome.status == 2
    assert "place the file by hand" in outcome.err
    assert str(cache) in outcome.err


def test_a_wrong_file_from_a_mirror_is_refused(cli, cache, tmp_path):
    served = tmp_path / "served"
    served.mkdir()
    (served / "imagebind_huge.pth").write_bytes(b"not the model")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(served))

        def log_message(self, *args):
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/imagebind_huge.pth"
        outcome = cli("models", "pull", "imagebind_huge", "--accept-licence", "--url", url)
    finally:
        server.shutdown()
        server.server_close()
    assert outcome.status == 2
    assert "imagebind_huge.pth" in outcome.err.strip().splitlines()[-1]
    assert cli("models", "list", "--json").document["models"][1]["state"] != "ready"


def test_unknown_models_are_refused_with_the_names(refused):
    for action in ("pull", "verify"):
        assert "concept, imagebind_huge" in refused("models", action, "nonsense")
    assert "ACTION" in refused("models")
