"""A graph of our own for the tutorial's node, and this folder's helpers by the name that the pages use."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

os.environ.setdefault("ROS_DOMAIN_ID", str(random.SystemRandom().randint(1, 100)))
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
