"""Quality of service of every kind of topic, in one place."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

SENSOR = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Pictures: only the newest counts; also receives from reliable publishers."""

MOTION = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=600, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Inertial measurements: small and many; three seconds of them at 200 Hz outlast the start of an encoder."""

RESULT = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.RELIABLE)
"""Embeddings and detections."""

STATE = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=10,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
"""A state that late joiners want to know at once."""

TF = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=100, reliability=ReliabilityPolicy.RELIABLE)
"""Transforms of moving frames, with the profile of tf2."""

TF_STATIC = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=100,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
"""Transforms that never change, sent once: late joiners get them, too."""

AUDIO_DEPTH = 500
"""Blocks: 10 s of 20 ms blocks outlast a stall of either side without a lost sample."""


def audio(reliable: bool = True) -> QoSProfile:
    """Sound: unlike a frame, a lost block cannot be made up by the next one, so it is sent again until it arrives.

    A best-effort subscription (for foreign drivers that publish best effort) gives up that guarantee.
    """
    reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=AUDIO_DEPTH, reliability=reliability)
