"""A graph of our own for the launch tests."""

from __future__ import annotations

import os
import random

import pytest

os.environ.setdefault("ROS_DOMAIN_ID", str(random.SystemRandom().randint(1, 100)))
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")


@pytest.fixture
def namespace():
    return f"/launch_{os.getpid()}"
