"""Settings of the DDS transport that pictures need."""

from __future__ import annotations

import os
from pathlib import Path

PROFILE = Path(__file__).with_name("fastdds.xml")
_VARIABLE, _HUMBLE_VARIABLE = "FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"


def use_large_shared_memory() -> None:
    """Point Fast DDS to our profile, unless the user chose one. Call before rclpy.init.

    Other middlewares ignore the variable. Humble's Fast DDS knows only the older of the two names.
    """
    if os.environ.get(_VARIABLE) or os.environ.get(_HUMBLE_VARIABLE) or not PROFILE.is_file():
        return
    name = _HUMBLE_VARIABLE if os.environ.get("ROS_DISTRO") == "humble" else _VARIABLE
    os.environ[name] = str(PROFILE)
