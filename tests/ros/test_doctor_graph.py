"""What the doctor says of a running graph: complaints of nodes, states, and a mend for every one of them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from imagebind_node.cli.checks import State
from imagebind_node.nodes import health, inspection
from imagebind_node.nodes.camera import CameraNode
from imagebind_node.nodes.encoder import EncoderNode
from imagebind_node.nodes.fusion import FusionNode

NODES = sorted(Path(health.__file__).parent.glob("*.py"))


@pytest.mark.timeout(180)
def test_complaints_and_states_of_running_nodes(running):
    camera = running.make(CameraNode, source="/dev/video99")
    encoder = running.make(EncoderNode, start=False, modalities=["text"])
    fusion = running.make(FusionNode)
    running.serve()
    found = {f.what: f for f in inspection.check_graph(5.0) if f.area == "nodes"}
    (lost,) = [
        f for what, f in found.items() if what.startswith(f"{camera.get_fully_qualified_name()}: driver")
    ]
    assert lost.state is State.BROKEN
    assert "/dev/video99" in lost.what or "opening" in lost.what
    asleep = found[f"{encoder.get_fully_qualified_name()} is not active"]
    assert asleep.state is State.MISSING
    assert f"ros2 lifecycle set {encoder.get_fully_qualified_name()} configure" in asleep.mend
    assert not any(what.startswith(fusion.get_fully_qualified_name()) for what in found)
    assert all(f.mend for f in found.values())


def complaints() -> list[str]:
    """Texts of every Report(WARN, ...) and Report(ERROR, ...) in the nodes, without what is filled in."""
    texts = []
    for path in NODES:
        for call in ast.walk(ast.parse(path.read_text())):
            if (
                not isinstance(call, ast.Call)
                or getattr(call.func, "id", "") != "Report"
                or len(call.args) < 2
            ):
                continue
            level, text = call.args[:2]
            if getattr(level, "id", "") in ("WARN", "ERROR") and isinstance(
                text, (ast.Constant, ast.JoinedStr)
            ):
                parts = text.values if isinstance(text, ast.JoinedStr) else [text]
                texts.append("".join(p.value for p in parts if isinstance(p, ast.Constant)))
    return texts


def test_every_complaint_of_a_node_has_a_mend_of_its_own():
    assert len(complaints()) >= 6
    for text in complaints():
        assert any(part in text for part in health.MENDS), text


def test_clock_jumps_are_told():
    jumped = DiagnosticStatus(
        level=DiagnosticStatus.OK,
        name="/encoder: vision",
        message="encoding",
        values=[KeyValue(key="clock jumps", value="2"), KeyValue(key="repeated", value="0")],
    )
    (found,) = health.findings_of([jumped])
    assert found.what == "/encoder: vision: 2 clock jumps"
    assert "chrony" in found.mend
