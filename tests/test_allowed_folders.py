"""Which paths lie in a folder, whatever links and dots say; what is no file at all."""

from pathlib import Path

import pytest

from imagebind_node.allowed_folders import AllowedFolders, is_local, resolve
from imagebind_node.errors import InvalidInputError


@pytest.fixture
def folders(tmp_path):
    """`inside` may be read; `outside` and `inside_too`, whose name only begins the same, may not."""
    for name in ("inside/deeper", "outside", "inside_too"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "inside" / "out").symlink_to(tmp_path / "outside")
    (tmp_path / "inside" / "passwd").symlink_to("/etc/passwd")
    (tmp_path / "way_in").symlink_to(tmp_path / "inside")
    return tmp_path


def allowed(folders, *names):
    return AllowedFolders.of("read", [str(folders / name) for name in names], "ask the operator")


@pytest.mark.parametrize(
    "name", ["inside", "inside/a.wav", "inside/deeper/../a.wav", "way_in/a", "outside/../inside/%04d.png"]
)
def test_inside(folders, name):
    assert allowed(folders, "inside").require(str(folders / name)).is_relative_to(folders / "inside")


@pytest.mark.parametrize(
    "name",
    [
        "inside/../outside/a",
        "inside/out/a",
        "inside/passwd",
        "inside_too/a",
        "inside/out/../outside",
        "",
        "/",
    ],
)
def test_outside(folders, name):
    with pytest.raises(InvalidInputError) as caught:
        allowed(folders, "inside").require(str(folders / name))
    message = str(caught.value)
    assert "\n" not in message
    assert f"outside the folders to read ({folders / 'inside'}): ask the operator" in message


def test_relative_paths_and_home(folders, monkeypatch):
    monkeypatch.chdir(folders / "outside")
    monkeypatch.setenv("HOME", str(folders))
    rule = allowed(folders, "inside")
    assert rule.require("../inside/a") == rule.require("~/inside/a") == folders / "inside" / "a"
    with pytest.raises(InvalidInputError):
        rule.require("inside/a")


def test_a_single_file_allows_no_neighbour(folders):
    rule = allowed(folders, "inside/a.wav")
    assert rule.require(str(folders / "inside/a.wav"))
    with pytest.raises(InvalidInputError):
        rule.require(str(folders / "inside/b.wav"))


def test_without_folders_nothing_is_allowed(folders):
    with pytest.raises(InvalidInputError, match=r"\(none\)"):
        AllowedFolders.of("write", [], "no").require(str(folders))


@pytest.mark.parametrize("path", ["a\0b", "loop", "~nobody_of_that_name/x", "x" * 5000])
def test_what_is_no_path(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    with pytest.raises(InvalidInputError) as caught:
        AllowedFolders.of("read", [str(tmp_path / "other")], "no").require(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 800


def test_resolve_needs_nothing_there(tmp_path):
    assert resolve(str(tmp_path / "no" / ".." / "such")) == tmp_path / "such"


@pytest.mark.parametrize(
    "source", ["0", "12", "rtsp://10.0.0.7/stream", "HTTP://cam.local/mjpeg", "socket://host:4000", " 1 "]
)
def test_devices_and_addresses_are_no_files(source):
    assert not is_local(source)


@pytest.mark.parametrize(
    "source",
    [
        "a.mp4",
        "/dev/video0",
        "file:///etc/passwd",
        "concat:/etc/passwd",
        "subfile,,start,0,end,9,,:/etc/passwd",
        "spy:///dev/ttyUSB0?file=/tmp/x",
        "http:///etc/passwd",
        "-1",
        "",
    ],
)
def test_everything_else_is_a_file(source):
    assert is_local(source)
