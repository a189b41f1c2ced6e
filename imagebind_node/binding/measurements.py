"""Messages of any sensor -> arrays that a shard can hold."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from imagebind_node.errors import InvalidInputError
from imagebind_node.sensors.bag import Recorded
from imagebind_node.sensors.bag_pictures import IMAGE, IMAGES, picture

Reader = Callable[[Any], np.ndarray]
# What a message of these types measures, where nothing else is asked for.
FIELDS = {
    "sensor_msgs/msg/LaserScan": "ranges",
    "sensor_msgs/msg/Range": "range",
    "sensor_msgs/msg/FluidPressure": "fluid_pressure",
    "sensor_msgs/msg/Temperature": "temperature",
    "sensor_msgs/msg/Illuminance": "illuminance",
    "sensor_msgs/msg/RelativeHumidity": "relative_humidity",
    "sensor_msgs/msg/JointState": "position",
}


def measurement(recorded: Recorded, read: str | None = None) -> np.ndarray:
    """The array of one message: numbers of shape (N, ...), as the sensor gave them.

    read: a dotted field of the message (`ranges`, `twist.linear.x`), or `module:function`, called with the
    message; without, pictures by their encoding (depth in metres, NaN = not measured), others by FIELDS.
    Raises InvalidInputError if the message does not hold numbers there.
    """
    if read is not None and ":" in read:
        return _numbers(load_function(read)(recorded.message), f"{recorded.topic}, {read}")
    if read is None and recorded.kind in IMAGES:
        return picture(recorded.message, recorded.topic, compressed=recorded.kind != IMAGE).data
    name = read or FIELDS.get(recorded.kind)
    if name is None:
        raise InvalidInputError(
            f"{recorded.topic}: say what to read of {recorded.kind}: a field, or module:function"
        )
    value = recorded.message
    for part in name.split("."):
        if part.startswith("_") or not hasattr(value, part):
            raise InvalidInputError(f"{recorded.topic}: {recorded.kind} has no field {name!r}")
        value = getattr(value, part)
    return _numbers(value, f"{recorded.topic}, field {name}")


def scalars(message: Any) -> dict[str, float]:
    """The plain numbers of a message (angle_min, range_max ...), of rclpy or of a bag: how to read its array."""
    if hasattr(message, "get_fields_and_field_types"):
        names = message.get_fields_and_field_types()
    else:
        names = getattr(message, "__dataclass_fields__", {})
    values = {name: getattr(message, name) for name in names}
    return {n: v for n, v in values.items() if isinstance(v, (int, float)) and np.isfinite(v)}


def load_function(name: str) -> Callable[..., Any]:
    """`module:function` -> the function. Raises InvalidInputError if it cannot be imported."""
    module, _, attribute = name.partition(":")
    try:
        function = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidInputError(f"{name!r} cannot be imported: {error}") from None
    if not callable(function):
        raise InvalidInputError(f"{name!r} is not a function")
    return function


def _numbers(value: Any, what: str) -> np.ndarray:
    try:
        array = np.atleast_1d(np.asarray(value))
    except ValueError as error:
        raise InvalidInputError(f"{what} is not an array of numbers: {error}") from None
    if array.dtype.kind not in "biuf" or array.size == 0:
        raise InvalidInputError(f"{what} is not an array of numbers: {array.dtype} {array.shape}")
    return array.astype(np.float32) if array.dtype == np.float64 else array
