#!/usr/bin/env bash
# Build the interfaces and install them into a virtual environment that holds ROS 2 from wheels.
# On a robot this script is not used: `colcon build --base-paths . ros2_ws/src` does it (docs/install.md).
#
#   build_interfaces.sh VENV
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$(realpath "$1")

sources=("$root/ros2_ws/src")
# The underlay stands in for packages of the distribution only where there is no wheel of them.
for package in vision_msgs tf2_msgs; do
  if ! "$venv/bin/python" -c "from importlib.metadata import version; version('ros-${package/_/-}')" 2>/dev/null; then
    sources+=("$root/ros2_ws/underlay/$package")
  fi
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export AMENT_PREFIX_PATH="$venv" CMAKE_PREFIX_PATH="$venv" PATH="$venv/bin:$PATH"
export COLCON_LOG_PATH="$work/log" COLCON_HOME="$work/colcon"
cd "$work"
if ! colcon build --base-paths "${sources[@]}" --build-base "$work/build" --merge-install --install-base "$venv" \
  --event-handlers console_direct- console_cohesion- --cmake-args -DBUILD_TESTING=OFF \
  "-DPython3_EXECUTABLE=$venv/bin/python" -DPython3_FIND_VIRTUALENV=ONLY >"$work/out" 2>&1; then
  cat "$work/out" "$work"/log/latest_build/*/stdout_stderr.log >&2 || true
  echo "error: the interfaces could not be built; the compiler's messages are above" >&2
  exit 1
fi
