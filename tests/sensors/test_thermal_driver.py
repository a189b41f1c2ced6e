"""The thermal driver on real 16-bit videos and pictures, through OpenCV."""

import time

import cv2
import numpy as np
import pytest

from imagebind_node.errors import DeviceError, InvalidInputError
from imagebind_node.sensors.thermal import ThermalCamera, ThermalConfig

PATIENCE = 40.0
ROWS, COLUMNS, TELEMETRY = 60, 80, 2


def counts(index):
    """Centikelvin around 20 degrees, rising to the right and downwards, then two rows of telemetry."""
    y, x = np.mgrid[: ROWS + TELEMETRY, :COLUMNS]
    picture = (29315 + 10 * x + 20 * y + index).astype(np.uint16)
    picture[ROWS:] = 0xBEEF
    return picture


@pytest.fixture
def video(tmp_path):
    """Ten pictures of 80x62 without loss (FFV1, 16 bits)."""
    path = tmp_path / "thermal.mkv"
    options = [cv2.VIDEOWRITER_PROP_DEPTH, cv2.CV_16U, cv2.VIDEOWRITER_PROP_IS_COLOR, 0]
    size = (COLUMNS, ROWS + TELEMETRY)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"FFV1"), 9.0, size, options)
    assert writer.isOpened()
    for index in range(10):
        writer.write(counts(index))
    writer.release()
    return path


@pytest.fixture
def sequence(tmp_path):
    for index in range(10):
        cv2.imwrite(str(tmp_path / f"{index:03d}.png"), counts(index))
    return tmp_path / "%03d.png"


def first(**settings):
    with ThermalCamera(ThermalConfig(**settings)) as camera:
        return camera.read_latest(PATIENCE)


@pytest.mark.parametrize("kind", ["video", "sequence"])
def test_every_one_of_16_bits_arrives_and_telemetry_is_cut_off(kind, request):
    source = str(request.getfixturevalue(kind))
    now = time.time_ns()
    sample = first(source=source, crop_bottom=TELEMETRY, frame_id="thermal_eye")
    assert sample.data.dtype == np.uint16
    shown = int(sample.data[0, 0]) - 29315
    assert 0 <= shown < 10
    np.testing.assert_array_equal(sample.data, counts(shown)[:ROWS])
    assert sample.frame_id == "thermal_eye"
    assert 0 <= sample.stamp - now < PATIENCE * 1e9


def test_rows_above_are_cut_off(video):
    assert first(source=str(video), crop_top=3, crop_bottom=TELEMETRY).data.shape == (ROWS - 3, COLUMNS)
    with ThermalCamera(ThermalConfig(source=str(video), crop_top=62)) as camera:
        with pytest.raises(DeviceError):
            camera.read_latest(0.5)
        assert "crop_top" in camera.stats.last_error


def test_kelvin_per_count_gives_kelvin_or_centikelvin(video):
    settings = {"source": str(video), "crop_bottom": TELEMETRY, "fps": 1.0}
    kelvin = first(**settings, kelvin_per_count=0.01, as_kelvin=True)
    assert kelvin.data.dtype == np.float32
    assert kelvin.data[0, 0] == pytest.approx(293.15, abs=0.2)
    assert kelvin.data[0, 30] - kelvin.data[0, 0] == pytest.approx(3.0, abs=1e-3)
    np.testing.assert_array_equal(first(**settings, kelvin_per_count=0.01).data, counts(0)[:ROWS])
    # A camera of 0.005 K a count from 100 K on.
    other = first(**settings, kelvin_per_count=0.005, kelvin_offset=100.0)
    assert other.data.dtype == np.uint16
    assert other.data[0, 0] == round((29315 * 0.005 + 100) * 100)


def test_eight_bits_stay_eight_bits_and_colour_is_refused(tmp_path):
    grey = counts(0).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "grey_000.png"), grey)
    np.testing.assert_array_equal(first(source=str(tmp_path / "grey_%03d.png")).data, grey)
    cv2.imwrite(str(tmp_path / "colour_000.png"), np.dstack([grey, grey, grey]))
    with ThermalCamera(ThermalConfig(source=str(tmp_path / "colour_%03d.png"))) as camera:
        with pytest.raises(DeviceError):
            camera.read_latest(0.5)
        assert "no thermal picture" in camera.stats.last_error


def test_comes_back_when_the_source_appears(tmp_path, video):
    late = tmp_path / "late.mkv"
    with ThermalCamera(ThermalConfig(source=str(late), loop=True)) as camera:
        with pytest.raises(DeviceError, match="does not exist"):
            camera.read_latest(0.3)
        late.write_bytes(video.read_bytes())
        assert camera.read_latest(PATIENCE).data.shape == (ROWS + TELEMETRY, COLUMNS)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"source": " "}, "source is empty"),
        ({"crop_top": -1}, "below 0"),
        ({"as_kelvin": True}, "kelvin_per_count"),
    ],
)
def test_impossible_settings_are_refused(wrong, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        ThermalCamera(ThermalConfig(**wrong))
