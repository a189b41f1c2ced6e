"""Pulling a model of several folders, from a local server that speaks as much of the Hub's protocol as that takes."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading

import pytest

pytest.importorskip("diffusers", reason="the extra `generate` is not installed")

PIPELINE = {
    **{
        f"{part}/config.json": b"{}"
        for part in ("image_encoder", "image_normalizer", "text_encoder", "unet", "vae")
    },
    "model_index.json": b'{"_class_name": "StableUnCLIPImg2ImgPipeline"}',
    "unet/diffusion_pytorch_model.safetensors": b"weights",
    "unet/diffusion_pytorch_model.fp16.safetensors": b"not wanted",
    "tokenizer/merges.txt": b"a b",
    "sd21-unclip-h.ckpt": b"not wanted",
}
REPOSITORIES = {
    "sd2-community/stable-diffusion-2-1-unclip": PIPELINE,
    "CompVis/stable-diffusion-safety-checker": {
        "config.json": b"{}",
        "preprocessor_config.json": b"{}",
        "model.safetensors": b"weights",
        "pytorch_model.bin": b"not wanted",
    },
    "mirror/unclip": PIPELINE | {"tokenizer/merges.txt": b"of the mirror"},
}


class Hub(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self._answer(body=True)

    def do_HEAD(self):
        self._answer(body=False)

    def _answer(self, *, body):
        path = self.path.partition("?")[0].strip("/")
        content, headers = None, {}
        for name, files in REPOSITORIES.items():
            commit = hashlib.sha1(name.encode()).hexdigest()
            if path in (f"api/models/{name}/revision/main", f"api/models/{name}"):
                listing = [{"rfilename": file} for file in files]
                content = json.dumps({"id": name, "sha": commit, "siblings": listing}).encode()
            elif path.startswith(f"api/models/{name}/tree/"):
                rows = [{"type": "file", "path": f, "size": len(c), "oid": "0"} for f, c in files.items()]
                content = json.dumps(rows).encode()
            elif path.startswith(f"{name}/resolve/"):
                content = files.get(path.removeprefix(f"{name}/resolve/").partition("/")[2])
                headers["X-Repo-Commit"] = commit
                headers["ETag"] = f'"{hashlib.sha1(content or b"").hexdigest()}"'
        self.send_response(404 if content is None else 200)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        if body:
            self.wfile.write(content or b"")

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_pull_fetches_the_pipeline_and_its_safety_checker(run_process, hub, tmp_path):
    variables = {"HF_ENDPOINT": hub, "XDG_CACHE_HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf")}
    refused = run_process("models", "pull", "stable_unclip", **variables)
    assert refused.returncode == 2
    assert "must not be used for" in refused.stderr and "--accept-licence" in refused.stderr
    done = run_process("models", "pull", "stable_unclip", "--accept-licence", **variables)
    assert done.returncode == 0, done.stderr
    place = tmp_path / "imagebind_node" / "stable_unclip"
    here = {str(p.relative_to(place)) for p in place.rglob("*") if p.is_file() and ".cache" not in p.parts}
    checker = REPOSITORIES["CompVis/stable-diffusion-safety-checker"]
    offered = PIPELINE | {f"safety_checker/{name}": content for name, content in checker.items()}
    assert here == {name for name, content in offered.items() if content != b"not wanted"}
    # Another repository with the same files.
    moved = run_process(
        *("models", "pull", "stable_unclip", "--accept-licence", "--repository", "mirror/unclip"), **variables
    )
    assert moved.returncode == 0, moved.stderr
    assert (place / "tokenizer" / "merges.txt").read_bytes() == b"of the mirror"
    verified = run_process("models", "verify", "stable_unclip", **variables)
    assert verified.returncode == 0 and "model_index.json: present" in verified.stdout
    gone = run_process(
        *("models", "pull", "stable_unclip", "--accept-licence", "--repository", "no/where"), **variables
    )
    assert gone.returncode == 2
    assert "cannot fetch no/where" in gone.stderr and "Traceback" not in gone.stderr
