"""Where the reference model lies: weights and outputs made with the original's code, random weights."""

from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "data" / "imagebind"
CHECKPOINT = DATA / "reference_small.safetensors"
