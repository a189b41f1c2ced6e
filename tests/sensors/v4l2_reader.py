"""What one of our drivers reads from a V4L2 device, a JSON line each; the tests run this with v4l2_camera.c preloaded.

python v4l2_reader.py camera|thermal '{"source": "/dev/..."}'
"""

import base64
import json
import sys
import time

from imagebind_node.errors import DeviceError
from imagebind_node.sensors.camera import Camera, CameraConfig
from imagebind_node.sensors.thermal import ThermalCamera, ThermalConfig

settings = json.loads(sys.argv[2])
if sys.argv[1] == "camera":
    device = Camera(CameraConfig(**settings))
else:
    device = ThermalCamera(ThermalConfig(**settings))
with device:
    while True:
        try:
            sample = device.read_latest(1.0)
            line = {
                "stamp": sample.stamp,
                "age": (time.time_ns() - sample.stamp) / 1e9,
                "shape": sample.data.shape,
                "dtype": sample.data.dtype.name,
                "data": base64.b64encode(sample.data.tobytes()).decode(),
            }
        except DeviceError as error:
            line = {"error": str(error)}
        line |= {"state": device.stats.state, "opened": device.stats.opened}
        print(json.dumps(line), flush=True)
