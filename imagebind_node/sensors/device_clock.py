"""The time of a device's own clock on ours, from when its data arrived."""

from __future__ import annotations

# How fast the two clocks may drift apart: quartz is good to 100 parts in a million.
_DRIFT = 1e-4
# A step of more than this is a clock that was set, or a recording that started over.
_JUMP_NS = 1_000_000_000


class DeviceClock:
    """Maps device time to ours by the smallest delay seen (E. Olson, A passive solution to the sensor
    synchronization problem, IROS 2010): data is never early, so the quickest arrival tells the offset best.

    What remains is the smallest delay of the transport itself. Not thread-safe.
    """

    def __init__(self) -> None:
        self._offset: int | None = None
        self._last = 0
        self.restarts = -1

    def stamp(self, device: int, arrival: int) -> int:
        """Time of capture on our clock, ns. device: the device's stamp, ns; arrival: when it came, ns of our clock."""
        offset = arrival - device
        if self._offset is None or abs(offset - self._offset) > _JUMP_NS:
            self._offset = offset
            self.restarts += 1
        else:
            allowed = self._offset + round(_DRIFT * max(0, device - self._last))
            self._offset = min(offset, allowed)
        self._last = device
        return device + self._offset
