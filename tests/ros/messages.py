"""Messages for the tests, made from arrays the plain way (not by the code under test)."""

from __future__ import annotations

import array
import time
from pathlib import Path

import numpy as np
import soundfile
from builtin_interfaces.msg import Time
from imagebind_msgs.msg import Audio, Content
from PIL import Image as PILImage
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

DEMO = Path(__file__).resolve().parents[2] / "demo"
_last = [0]


def new_stamp() -> Time:
    """Now, and never the same twice."""
    _last[0] = max(_last[0] + 1000, time.time_ns())
    return Time(sec=_last[0] // 10**9, nanosec=_last[0] % 10**9)


def image(pixels: np.ndarray, encoding: str = "rgb8", padding: int = 0, **fields: object) -> Image:
    """Image message of an array; `padding`: bytes added to each row."""
    rows = pixels.reshape(len(pixels), -1)
    raw = np.ascontiguousarray(rows).view(np.uint8).reshape(len(pixels), -1)
    raw = np.pad(raw, ((0, 0), (0, padding)), constant_values=0xAA)
    message = Image(
        header=Header(stamp=new_stamp(), frame_id="eye"),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        step=raw.shape[1],
    )
    message.data = array.array("B", raw.tobytes())
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def compressed(data: bytes, form: str = "jpeg") -> CompressedImage:
    return CompressedImage(
        header=Header(stamp=new_stamp(), frame_id="eye"), format=form, data=array.array("B", data)
    )


def audio(samples: np.ndarray, rate: int = 16000, sequence: int = 0, **fields: object) -> Audio:
    """Audio message of float (N,) or (N, channels)."""
    message = Audio(
        header=Header(stamp=new_stamp(), frame_id="ear"),
        sample_rate=rate,
        channels=1 if samples.ndim == 1 else samples.shape[1],
        sequence=sequence,
    )
    message.data = array.array("f", samples.astype(np.float32).ravel().tolist())
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def demo_sound(name: str) -> np.ndarray:
    """Sound of the demo at 16 kHz: float32 (N,)."""
    data, rate = soundfile.read(DEMO / f"{name}.flac", dtype="float32")
    assert data.ndim == 1
    if rate != 16000:
        positions = np.arange(int(len(data) * 16000 / rate)) * rate / 16000
        data = np.interp(positions, np.arange(len(data)), data).astype(np.float32)
    return data


def demo_picture(name: str = "meadow", width: int = 640) -> np.ndarray:
    """Scene of the demo: uint8 (H, W, 3) RGB."""
    picture = PILImage.open(DEMO / f"{name}.jpg").convert("RGB")
    return np.array(picture.resize((width, round(picture.height * width / picture.width))))


def text(words: str) -> Content:
    return Content(modality="text", text=words)


def sound(samples: np.ndarray) -> Content:
    return Content(modality="audio", audio=audio(samples))


def picture(pixels: np.ndarray) -> Content:
    return Content(modality="vision", image=image(pixels))
