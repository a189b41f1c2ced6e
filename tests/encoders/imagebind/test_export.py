import numpy as np
import pytest
import torch
from imagebind_reference import CHECKPOINT

from imagebind_node.encoders.imagebind.encoder import load_imagebind
from imagebind_node.encoders.imagebind.export import export_onnx
from imagebind_node.errors import InvalidInputError, UnsupportedModalityError
from imagebind_node.samples import Modality

# Exporting takes seconds each: text (causal) and audio (extra key and value) cover what differs; the rest is slow.
QUICK = (Modality.TEXT, Modality.AUDIO)


@pytest.mark.parametrize(
    "modality", [pytest.param(m, marks=() if m in QUICK else pytest.mark.slow) for m in Modality]
)
def test_onnx_runtime_gives_the_same(encoder, inputs, modality, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="extra onnx is not installed")
    pytest.importorskip("onnxscript", reason="extra onnx is not installed")
    batch = inputs[modality.value][:, 0] if modality is Modality.AUDIO else inputs[modality.value]
    path = export_onnx(encoder, modality, tmp_path / f"{modality}.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for size in (1, len(batch)):
        (found,) = session.run(None, {"batch": batch[:size].numpy()})
        expected = encoder.forward(modality, batch[:size]).numpy()
        assert np.abs(found - expected).max() < 1e-4
    # The tower goes on as before the export.
    if modality is Modality.TEXT:
        assert encoder.network.tower(modality).trim_text


def test_what_cannot_be_exported(encoder, tmp_path):
    pytest.importorskip("onnxscript", reason="extra onnx is not installed")
    quantised = load_imagebind(CHECKPOINT, modalities=["imu"], precision="int8")
    with pytest.raises(InvalidInputError, match="precision fp32"):
        export_onnx(quantised, "imu", tmp_path / "a.onnx")
    exact = load_imagebind(CHECKPOINT, modalities=["imu"], token_merging=2)
    with pytest.raises(InvalidInputError, match="token merging"):
        export_onnx(exact, "imu", tmp_path / "a.onnx")
    with pytest.raises(UnsupportedModalityError):
        export_onnx(exact, "audio", tmp_path / "a.onnx")
    assert torch.is_tensor(exact.forward(Modality.IMU, torch.zeros(1, 6, 2000)))
