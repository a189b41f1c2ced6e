"""Image messages to samples and back, without a copy wherever the layout allows it."""

from __future__ import annotations

import array
import io
import sys
import warnings
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image as PILImage
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from imagebind_node.errors import InvalidInputError
from imagebind_node.formats.bounded import DECODER_ERRORS, one_line
from imagebind_node.formats.pictures import MAX_PIXELS, to_rgb
from imagebind_node.nodes.conversions import header, to_nanoseconds
from imagebind_node.samples import MAX_IMAGE_SIDE, DepthSample, ImageSample, Modality, ThermalSample
from imagebind_node.sensors.camera_model import CameraModel

PictureSample = ImageSample | DepthSample | ThermalSample


@dataclass(frozen=True)
class _Layout:
    dtype: type
    channels: int


_LAYOUTS = {
    "rgb8": _Layout(np.uint8, 3),
    "bgr8": _Layout(np.uint8, 3),
    "rgba8": _Layout(np.uint8, 4),
    "bgra8": _Layout(np.uint8, 4),
    "mono8": _Layout(np.uint8, 1),
    "8UC1": _Layout(np.uint8, 1),
    "8UC3": _Layout(np.uint8, 3),
    "mono16": _Layout(np.uint16, 1),
    "16UC1": _Layout(np.uint16, 1),
    "32FC1": _Layout(np.float32, 1),
}
ENCODINGS = {
    Modality.VISION: ("rgb8", "bgr8", "rgba8", "bgra8", "mono8", "8UC1", "8UC3"),
    Modality.DEPTH: ("16UC1", "mono16", "32FC1"),
    Modality.THERMAL: ("mono8", "8UC1", "mono16", "16UC1", "32FC1"),
}
_TO_RGB = {
    "bgr8": cv2.COLOR_BGR2RGB,
    "8UC3": cv2.COLOR_BGR2RGB,  # OpenCV's own order, which drivers without a colour model publish
    "rgba8": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2RGB,
    "mono8": cv2.COLOR_GRAY2RGB,
    "8UC1": cv2.COLOR_GRAY2RGB,
}


def pixels(message: Image) -> np.ndarray:
    """View of the message buffer: (H, W) or (H, W, C) of the dtype that `encoding` says, host byte order.

    Rows may be padded (`step` larger than needed). Raises InvalidInputError if the fields disagree.
    """
    layout = _LAYOUTS.get(message.encoding)
    if layout is None:
        known = ", ".join(_LAYOUTS)
        raise InvalidInputError(f"image encoding {message.encoding!r} is not supported: publish {known}")
    width, height, step = message.width, message.height, message.step
    if width == 0 or height == 0:
        raise InvalidInputError(f"image is empty ({width}x{height} pixels): check the camera driver")
    if max(width, height) > MAX_IMAGE_SIDE:
        raise InvalidInputError(f"image of {width}x{height} pixels is larger than {MAX_IMAGE_SIDE} a side")
    item = np.dtype(layout.dtype).itemsize
    row = width * layout.channels * item
    if step < row:
        raise InvalidInputError(
            f"image step is {step} bytes, but {width} pixels of {message.encoding} take {row} bytes a row"
        )
    # The last row may lack its padding: some drivers cut the buffer there.
    if not step * (height - 1) + row <= len(message.data) <= step * height:
        raise InvalidInputError(
            f"image data holds {len(message.data)} bytes, but step {step} x height {height} is {step * height}"
        )
    buffer = np.frombuffer(message.data, np.uint8)
    rows = np.lib.stride_tricks.as_strided(buffer, (height, row), (step, 1), writeable=False)
    dtype = np.dtype(layout.dtype)
    if item > 1:
        dtype = dtype.newbyteorder(">" if message.is_bigendian else "<")
        if step % item:
            rows = np.ascontiguousarray(rows)
    view = rows.view(dtype)
    view = view.reshape(height, width, layout.channels) if layout.channels > 1 else view
    native = (sys.byteorder == "big") == bool(message.is_bigendian)
    return view if item == 1 or native else view.astype(layout.dtype)


def picture_sample(
    message: Image | CompressedImage, modality: Modality, camera_info: CameraInfo | None = None
) -> PictureSample:
    """Image or CompressedImage -> sample of `modality`.

    Depth: 16UC1 is millimetres with 0 = no measurement, 32FC1 metres (REP-118). Raises InvalidInputError.
    """
    if isinstance(message, CompressedImage):
        encoding, data = _decompress(message, modality)
    else:
        if message.encoding in _LAYOUTS and message.encoding not in ENCODINGS[modality]:
            wanted = ", ".join(ENCODINGS[modality])
            raise InvalidInputError(
                f"image encoding {message.encoding!r} is not a {modality} picture: publish {wanted}"
            )
        encoding, data = message.encoding, pixels(message)
    stamp, frame_id = to_nanoseconds(message.header.stamp), message.header.frame_id
    if modality is Modality.VISION:
        data = cv2.cvtColor(data, _TO_RGB[encoding]) if encoding in _TO_RGB else data
        return ImageSample(data, stamp, frame_id)
    if modality is Modality.THERMAL:
        return ThermalSample(data, stamp, frame_id)
    metres = data if data.dtype == np.float32 else _millimetres_to_metres(data)
    focal, baseline = _stereo(camera_info)
    return DepthSample(metres, focal, baseline, stamp, frame_id)


def image_message(data: np.ndarray, encoding: str, stamp: int, frame_id: str) -> Image:
    """Array (H, W) or (H, W, C) -> Image. The buffer is copied once (array.array; a list costs 100 times more)."""
    layout = _LAYOUTS[encoding]
    if data.dtype != layout.dtype or (data.shape[2] if data.ndim == 3 else 1) != layout.channels:
        raise InvalidInputError(f"{data.dtype} {data.shape} is not {encoding}")
    contiguous = np.ascontiguousarray(data)
    buffer = array.array("B")
    buffer.frombytes(contiguous.data.cast("B"))
    return Image(
        header=header(stamp, frame_id),
        height=data.shape[0],
        width=data.shape[1],
        encoding=encoding,
        is_bigendian=int(sys.byteorder == "big"),
        step=contiguous.strides[0],
        data=buffer,
    )


def picture_message(sample: PictureSample, encoding: str = "") -> Image:
    """Sample -> Image. Colour: rgb8; depth: 16UC1 (mm, 0 = no measurement; the default) or 32FC1 (metres, NaN);
    thermal: by its dtype mono8, mono16 or, if `encoding` says so, 16UC1, and 32FC1.
    """
    data = sample.data
    if isinstance(sample, ImageSample):
        encoding = "rgb8"
    elif isinstance(sample, DepthSample):
        encoding = encoding or "16UC1"
        data = _metres_to_millimetres(data) if encoding == "16UC1" else data
    elif data.dtype == np.uint16:
        encoding = encoding or "mono16"
    else:
        encoding = {np.dtype(np.uint8): "mono8", np.dtype(np.float32): "32FC1"}[data.dtype]
    return image_message(data, encoding, sample.stamp, sample.frame_id)


def camera_info_message(camera: CameraModel, stamp: int, frame_id: str) -> CameraInfo:
    """Geometry -> CameraInfo.

    Where the model has no projection, P is K, with -fx * baseline in P[3] as for the second camera of a stereo pair.
    """
    k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    pinhole = [*k[0:3], -camera.fx * camera.baseline_m, *k[3:6], 0.0, *k[6:9], 0.0]
    return CameraInfo(
        header=header(stamp, frame_id),
        width=camera.width,
        height=camera.height,
        distortion_model=camera.distortion_model,
        d=list(camera.distortion),
        k=k,
        r=camera.rectification or [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=camera.projection or pinhole,
    )


def _metres_to_millimetres(data: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        scaled = np.rint(data * np.float32(1000.0))
        # What does not fit in 16 bits is no measurement either.
        return np.where((scaled > 0) & (scaled <= 65535), scaled, 0).astype(np.uint16)


def _decompress(message: CompressedImage, modality: Modality) -> tuple[str, np.ndarray]:
    form, size = message.format, len(message.data)
    if "compressedDepth" in form:
        raise InvalidInputError(
            f"compressed format {form!r} is not supported: subscribe to the raw depth topic instead"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures: our own limit below refuses them
            picture = PILImage.open(io.BytesIO(message.data), formats=("JPEG", "PNG"))
        if max(picture.size) > MAX_IMAGE_SIDE or picture.width * picture.height > MAX_PIXELS:
            raise InvalidInputError(
                f"compressed image of {picture.width}x{picture.height} pixels is too large: shrink it"
            )
        # Pillow refuses a truncated picture, where OpenCV would fill in grey.
        picture.load()
    except InvalidInputError:
        raise
    except PILImage.UnidentifiedImageError:
        raise InvalidInputError(
            f"compressed image (format {form!r}, {size} bytes) is not a whole JPEG or PNG"
        ) from None
    except (*DECODER_ERRORS, PILImage.DecompressionBombError) as error:
        raise InvalidInputError(
            f"compressed image (format {form!r}, {size} bytes) is not a whole JPEG or PNG: {one_line(error)}"
        ) from None
    if modality is Modality.VISION:
        return "rgb8", to_rgb(picture)
    if picture.mode not in ("L", "I;16", "I"):
        raise InvalidInputError(
            f"compressed {modality} picture has mode {picture.mode}: publish one channel as PNG"
        )
    if picture.mode == "L" and modality is Modality.DEPTH:
        raise InvalidInputError("compressed depth picture has 8 bits a pixel: publish 16-bit PNG")
    if picture.mode == "L":
        return "mono8", np.array(picture)
    return "16UC1", np.array(picture).astype(np.uint16)


def _millimetres_to_metres(data: np.ndarray) -> np.ndarray:
    metres = data.astype(np.float32) * np.float32(0.001)
    metres[data == 0] = np.nan
    return metres


def _stereo(info: CameraInfo | None) -> tuple[float | None, float | None]:
    """Focal length in pixels and baseline in metres of a CameraInfo, None where it does not say."""
    if info is None or info.k[0] <= 0:
        return None, None
    baseline = -info.p[3] / info.p[0] if info.p[0] > 0 and info.p[3] != 0 else None
    return float(info.k[0]), baseline
