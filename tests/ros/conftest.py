"""Real DDS on this machine only, apart from every other graph."""

from __future__ import annotations

import itertools
import os
import random

import pytest

# Before rclpy: a domain of our own, and namespaces on top, since there are only about a hundred domains.
os.environ["ROS_DOMAIN_ID"] = str(random.SystemRandom().randint(1, 100))
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

from imagebind_node.nodes.transport import use_large_shared_memory

use_large_shared_memory()

from graph import Client, Running  # noqa: E402

_numbers = itertools.count()


def new_namespace() -> str:
    return f"/test_{os.getpid()}_{next(_numbers)}"


@pytest.fixture
def namespace():
    return new_namespace()


@pytest.fixture
def client(namespace):
    made = Client(namespace)
    yield made
    made.close()


@pytest.fixture
def running(namespace):
    made = Running(namespace)
    yield made
    made.close()


@pytest.fixture(scope="module")
def module_namespace():
    return new_namespace()


@pytest.fixture(scope="module")
def module_client(module_namespace):
    made = Client(module_namespace)
    yield made
    made.close()


@pytest.fixture(scope="module")
def module_running(module_namespace):
    made = Running(module_namespace)
    yield made
    made.close()
