"""What ImageBind's authors report, to be printed beside what is measured here: emergent zero-shot results in %.

Model imagebind_huge (ViT-H) of Girdhar et al., "ImageBind: One Embedding Space To Bind Them All", CVPR 2023
(arXiv:2305.05665). Most come from the table in the README of the authors' repository
(github.com/facebookresearch/ImageBind). Two are not in that table, nor compared with the paper itself: SUN RGB-D,
as a summary of the paper quotes it (emergentmind.com/papers/2305.05665), and AudioCaps, as people quote it who
reproduced it (github.com/embeddings-benchmark/mteb/pull/5015). The paper's numbers for Clotho are left out, since
no source at hand confirmed them.
"""

from __future__ import annotations

REPORTED = {
    "imagenet": {"name": "ImageNet-1K", "metric": "top_1", "value": 77.7},
    "nyud": {"name": "NYU-D", "metric": "top_1", "value": 54.0},
    "sun_rgbd": {"name": "SUN RGB-D (depth only; quoted second-hand)", "metric": "top_1", "value": 35.1},
    "esc50": {"name": "ESC-50", "metric": "top_1", "value": 66.9},
    "llvip": {"name": "LLVIP", "metric": "top_1", "value": 63.4},
    "audiocaps": {"name": "AudioCaps (quoted second-hand)", "metric": "recall_at_10", "value": 42.3},
    "ego4d": {"name": "Ego4D scenarios (IMU)", "metric": "top_1", "value": 25.0},
}
