#!/usr/bin/env bash
# Install NanoRay's core in a folder of a small box, in at most 200 MB.
#
#   scripts/edge_install.sh FOLDER      default: /opt/nanoray; run in a checkout
#
# As `pip install` into a virtual environment, but for two things. Python compiles only the modules
# that a prediction needs, by making one: pip would compile all, tests and tools among them. And
# ONNX Runtime's C library is deleted, of which the Python module has a copy inside; programs such
# as examples/c/nanoray.c need it, NanoRay does not.
#
# Settings: PYTHON (default python3). Prints the megabytes, without pip.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:-/opt/nanoray}
[ $# -le 1 ] || { echo "usage: scripts/edge_install.sh [FOLDER]" >&2; exit 2; }
[ ! -e "$folder" ] || { echo "edge_install: $folder exists already" >&2; exit 2; }

"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install --quiet --no-compile -c "$here/constraints.txt" "$here"
find "$folder" -path '*/onnxruntime/capi/libonnxruntime.so*' -delete
env -u PYTHONDONTWRITEBYTECODE "$folder/bin/nanoray" predict \
  "$here/tests/vectors/inputs/explicit-12bit.dcm" --format json >/dev/null
du -sm --exclude=pip --exclude='pip-*' --exclude=setuptools --exclude='setuptools-*' \
  --exclude=pkg_resources "$folder" | sed 's/\t.*/ MB installed, without pip/'
