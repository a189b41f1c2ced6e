"""The parameters of the encoder node."""

from __future__ import annotations

from imagebind_node.nodes.parameters import Setting, model_settings
from imagebind_node.nodes.path_parameters import READ
from imagebind_node.preprocessing.thermal import RANGE_MODES

SETTINGS = [
    *model_settings(["vision", "audio", "depth", "thermal", "imu", "text"]),
    Setting("rate.vision", 15.0, "Camera frames encoded a second at most; 0: all.", 0.0, 1000.0, live=True),
    Setting("rate.depth", 10.0, "Depth frames encoded a second at most; 0: all.", 0.0, 1000.0, live=True),
    Setting("rate.thermal", 10.0, "Thermal frames encoded a second at most; 0: all.", 0.0, 1000.0, live=True),
    Setting(
        "thermal.mode",
        "auto",
        "What becomes black and white in thermal pictures: thermal.low and thermal.high as raw values (window), "
        "degrees Celsius (radiometric) or percentiles; auto: the model's choice.",
        choices=RANGE_MODES,
    ),
    Setting("thermal.low", 0.0, "See thermal.mode.", -1000.0, 1e9),
    Setting("thermal.high", 0.0, "See thermal.mode.", -1000.0, 1e9),
    Setting("hop", 0.1, "Seconds of new sound from one audio embedding to the next.", 0.02, 10.0),
    Setting(
        "bound",
        [""],
        "Folders of towers that were bound to the model's space; each adds a modality or takes the place of one.",
        path=READ,
    ),
    Setting(
        "rate.bound", 10.0, "Measurements of a bound sense encoded a second at most; 0: all.", 0.0, 1000.0
    ),
    Setting("imu_hop", 0.5, "Seconds of new motion from one IMU embedding to the next.", 0.02, 10.0),
    Setting(
        "max_age", 0.5, "Seconds after capture at which a sample is dropped; 0: never.", 0.0, 60.0, live=True
    ),
    Setting(
        "transport",
        "auto",
        "Picture transport; auto takes the compressed topic while nobody publishes the raw one.",
        choices=("auto", "raw", "compressed"),
    ),
    Setting(
        "audio_format",
        "",
        'What AudioData of audio_common holds, such as "S16LE 1 16000"; empty: what audio_info says.',
    ),
    Setting("audio_reliable", True, "Ask for reliable audio; false for drivers that publish best effort."),
]
