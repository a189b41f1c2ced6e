"""What ImageBind's authors report, to be printed beside what is measured here: emergent zero-shot top-1 accuracy in %.

Model imagebind_huge (ViT-H) of Girdhar et al., "ImageBind: One Embedding Space To Bind Them All", CVPR 2023
(arXiv:2305.05665). All but one come from the table in the README of the authors' repository
(github.com/facebookresearch/ImageBind). SUN RGB-D is not in that table; its value is the paper's as a summary of it
quotes it (emergentmind.com/papers/2305.05665), not compared with the paper itself. The paper's audio retrieval
numbers (Clotho, AudioCaps) are left out: no source at hand confirmed them.
"""

from __future__ import annotations

REPORTED = {
    "imagenet": {"name": "ImageNet-1K", "metric": "top_1", "value": 77.7},
    "nyud": {"name": "NYU-D", "metric": "top_1", "value": 54.0},
    "sun_rgbd": {"name": "SUN RGB-D (depth only; quoted second-hand)", "metric": "top_1", "value": 35.1},
    "esc50": {"name": "ESC-50", "metric": "top_1", "value": 66.9},
    "llvip": {"name": "LLVIP", "metric": "top_1", "value": 63.4},
    "ego4d": {"name": "Ego4D scenarios (IMU)", "metric": "top_1", "value": 25.0},
}
