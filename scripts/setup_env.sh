#!/usr/bin/env bash
# Make .venv: this package, its pinned dependencies, real ROS 2 from wheels, and our interfaces built into it.
# Afterwards .venv/bin/imagebind-node works with nothing sourced. Quick when nothing has changed.
#
#   scripts/setup_env.sh            variables: PYTHON (interpreter), VENV (default .venv),
#                                   TORCH_INDEX (extra package index for torch), EXTRAS (such as owlvit,onnx;
#                                   extras that were installed before stay)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$(realpath -m "${VENV:-$root/.venv}")
started=$SECONDS

# Another ROS environment (sourced, or that of a parent process) must not leak into this one.
unset AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH PYTHONPATH PYTHONHOME LD_LIBRARY_PATH \
  ROS_DISTRO ROS_VERSION ROS_PYTHON_VERSION VIRTUAL_ENV _ROS_WHEELS_BOOTSTRAP_COMPLETE

say() { echo "setup: $*" >&2; }
# Stamps name the state that they stand for, so an interrupted or outdated step is done again.
state_of() { (cd "$root" && find "$@" -type f -not -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum | sha256sum); }
done_already() { [ "$(cat "$venv/.stamps/$1" 2>/dev/null)" = "$2" ]; }
mark_done() { mkdir -p "$venv/.stamps" && echo "$2" >"$venv/.stamps/$1"; }

# pip without the lines that are no news ("Looking in", "Location ... is ignored"); errors and its status stay.
pip() {
  local status=0
  "$venv/bin/python" -m pip --disable-pip-version-check "$@" 2> >(grep -v -e 'is ignored: ' -e '^Looking in' >&2) || status=$?
  return $status
}

make_venv() {
  # An environment that was moved or whose interpreter is gone names other paths in its scripts.
  if [ -f "$venv/pyvenv.cfg" ] && ! "$venv/bin/python" -c "import sys; sys.exit(sys.prefix != '$venv')" 2>/dev/null; then
    say "$venv does not work (moved, or its Python is gone): making it anew"
    rm -rf "$venv"
  fi
  if [ ! -x "$venv/bin/python" ]; then
    local python
    python=$("$root/scripts/find_python.sh")
    say "virtual environment with $("$python" --version)"
    "$python" -m venv "$venv"
  elif [ -n "${PYTHON:-}" ] && [ "$("$PYTHON" --version)" != "$("$venv/bin/python" --version)" ]; then
    say "error: $venv has $("$venv/bin/python" --version), PYTHON=$PYTHON is another: \`make distclean\` first"
    exit 1
  fi
}

install_packages() {
  say "packages (pinned in constraints.txt)"
  pip install -q -c "$root/constraints.txt" 'setuptools<80' wheel
  pip install -q -c "$root/constraints.txt" ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
    --no-build-isolation -e "$root[$extras]"
  retarget_cmake
}

# The CMake targets that the ROS wheels export name the Python of the machine they were built on.
retarget_cmake() {
  local base site
  base=$("$venv/bin/python" -c 'import sys; print(sys.base_prefix)')
  site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  # grep finds nothing where this was done before, which is no error.
  { grep -rlE '/opt/python/cp3[0-9]+-cp3[0-9]+' "$venv/share" --include='*.cmake' || true; } |
    xargs -r sed -i -E -e "s#/opt/python/cp3[0-9]+-cp3[0-9]+/lib/python3[.][0-9]+/site-packages#$site#g" \
      -e "s#/opt/python/cp3[0-9]+-cp3[0-9]+#$base#g"
}

build_interfaces() {
  say "interfaces (colcon)"
  "$root/scripts/build_interfaces.sh" "$venv"
}

"$root/scripts/system_packages.sh" "$(if [ -x "$venv/bin/python" ]; then echo "$venv/bin/python"; else "$root/scripts/find_python.sh"; fi)"
if [ "$(uname -sm)" != "Linux x86_64" ]; then
  say "error: ROS 2 comes as wheels for Linux x86_64 only, this is $(uname -sm): docs/install.md, 'On a robot'"
  exit 1
fi
make_venv
extras=$(tr ',' '\n' <<<"ros,ros-build,dev,${EXTRAS:-},$(cat "$venv/.stamps/extras" 2>/dev/null)" | sed '/^$/d' | sort -u | paste -sd,)
packages="$(state_of constraints.txt setup.py setup.cfg scripts/setup_env.sh) $extras ${TORCH_INDEX:-}"
if ! done_already packages "$packages"; then
  install_packages
  mark_done extras "$extras"
  mark_done packages "$packages"
fi
interfaces=$(state_of ros2_ws scripts/build_interfaces.sh constraints.txt)
if ! done_already interfaces "$interfaces"; then
  build_interfaces
  mark_done interfaces "$interfaces"
fi
say "ready in $((SECONDS - started)) s: $venv"
