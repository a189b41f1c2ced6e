"""What the ImageBind paper reports, to be printed beside what is measured here.

Girdhar et al., "ImageBind: One Embedding Space To Bind Them All", CVPR 2023 (arXiv:2305.05665): ViT-H, emergent
zero-shot classification from Table 2 (in %, top-1 accuracy, mAP for AudioSet), audio retrieval from Table
3 (R@1, R@10).
"""

from __future__ import annotations

TABLE_2 = {
    "imagenet": {"name": "ImageNet-1K", "metric": "top_1", "value": 77.7, "random": 0.1},
    "nyud": {"name": "NYU-D", "metric": "top_1", "value": 54.0, "random": 10.0},
    "sun_rgbd": {"name": "SUN RGB-D (depth only)", "metric": "top_1", "value": 35.1, "random": 5.26},
    "esc50": {"name": "ESC-50", "metric": "top_1", "value": 66.9, "random": 2.75},
    "llvip": {"name": "LLVIP", "metric": "top_1", "value": 63.4, "random": 50.0},
    "ego4d": {"name": "Ego4D scenarios (IMU)", "metric": "top_1", "value": 25.0, "random": 0.9},
}
TABLE_3 = {
    "clotho": {"recall_at_1": 6.0, "recall_at_10": 28.4},
    "audiocaps": {"recall_at_1": 9.3, "recall_at_10": 42.3},
}
