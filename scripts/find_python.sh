#!/usr/bin/env bash
# Print an interpreter that the project supports (Python 3.10 to 3.12 with venv): $PYTHON if set, else the first found.
set -euo pipefail

supported() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null
}

if [ -n "${PYTHON:-}" ]; then
  supported "$PYTHON" && { echo "$PYTHON"; exit 0; }
  echo "error: PYTHON=$PYTHON is not Python 3.10 to 3.12 with the venv module" >&2
  exit 1
fi
for candidate in python3 python3.11 python3.12 python3.10; do
  if supported "$candidate"; then echo "$candidate"; exit 0; fi
done
echo "error: no Python 3.10 to 3.12 with the venv module found: install one (Debian, Ubuntu: apt install" \
  "python3 python3-venv) or name it, for example: make setup PYTHON=/usr/bin/python3.12" >&2
exit 1
