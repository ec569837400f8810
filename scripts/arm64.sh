#!/usr/bin/env bash
# Check NanoRay on ARM64 Linux (Raspberry Pi OS, Jetson, Graviton) from an x86 machine.
#
#   sudo scripts/arm64.sh [FOLDER]       default: build/arm64
#
# Installs Debian for ARM64 in FOLDER, emulated by QEMU, and the wheel of this checkout with PyPI's
# ARM64 wheels in it. Then `nanoray predict` reads the demo radiographs and the test vectors on both
# processors, and scripts/compare_results.py compares them; scripts/syntaxes.py compares a file of
# every transfer syntax; and the reader's own tests run on ARM64 (TESTS=no leaves them out).
# Emulation is some 30 times slower than this machine: the first run takes 10 to 20 minutes on two
# idle cores. FOLDER is kept for later ones.
#
# Needs root and: apt-get install debootstrap qemu-user-static binfmt-support
# Settings: PYTHON (default python3) has NanoRay's core and pydicom-data; SUITE (default bookworm).
#
# Exit status: 0 equal, 1 different, 2 wrong use, 77 the machine lacks what is needed.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
folder=$(realpath -m "${1:-$here/build/arm64}")
root=$folder/root
suite=${SUITE:-bookworm}
python=${PYTHON:-python3}
[ $# -le 1 ] || { echo "usage: scripts/arm64.sh [FOLDER]" >&2; exit 2; }

lacking() { echo "arm64: $1" >&2; exit 77; }
[ "$(id -u)" = 0 ] || lacking "root is needed, for debootstrap and chroot"
for tool in debootstrap qemu-aarch64-static update-binfmts; do
  command -v "$tool" >/dev/null || lacking \
    "$tool not found; apt-get install debootstrap qemu-user-static binfmt-support"
done
binfmt=/proc/sys/fs/binfmt_misc
[ -e $binfmt/register ] || mount -t binfmt_misc binfmt_misc $binfmt \
  || lacking "binfmt_misc cannot be mounted: the kernel does not have it"
[ -e $binfmt/qemu-aarch64 ] || update-binfmts --enable qemu-aarch64 \
  || lacking "QEMU cannot be registered for ARM64 programs"

step() { echo; echo "== $1"; }
mkdir -p "$folder"

if [ ! -e "$folder/installed-$suite" ]; then
  step "Debian $suite for ARM64"
  rm -rf "$root"
  debootstrap --arch=arm64 --variant=minbase --include=python3-venv,libgomp1 "$suite" "$root" \
    >"$folder/debootstrap.log" 2>&1 || { tail -20 "$folder/debootstrap.log" >&2; exit 1; }
  rm -f "$root"/var/cache/apt/archives/*.deb
  touch "$folder/installed-$suite"
fi
inside() { chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 PATH=/opt/nanoray/bin:/usr/bin:/bin "$@"; }
inside uname -m | grep -qx aarch64 || { echo "arm64: the emulation does not run" >&2; exit 1; }
version=$(inside python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')

step "The wheel, and PyPI's wheels for ARM64 and Python $version"
rm -rf "$folder/wheels"
"$python" -m pip wheel --quiet --no-deps --wheel-dir "$folder/wheels" "$here"
"$python" -m pip download --quiet --dest "$folder/wheels" --only-binary=:all: \
  --python-version "$version" --implementation cp \
  --platform manylinux_2_34_aarch64 --platform manylinux_2_28_aarch64 \
  --platform manylinux_2_27_aarch64 --platform manylinux_2_17_aarch64 \
  --platform manylinux2014_aarch64 \
  "$folder"/wheels/nanoray-*.whl pydicom-data pytest
rm -rf "$root/opt" && mkdir -p "$root/opt" && cp -r "$folder/wheels" "$root/opt/wheels"
inside python3 -m venv /opt/nanoray
inside pip install --quiet --no-index --find-links /opt/wheels nanoray pydicom-data pytest
inside pip list --format freeze | grep -viE '^(pip|setuptools|pytest|pluggy|iniconfig|pydicom-data)='
inside du -sm --exclude=pip --exclude=setuptools --exclude=data_store /opt/nanoray \
  | sed 's/\t.*/ MB installed, without pip and the samples/'

step "The same files on both processors"
files=$root/opt/files
rm -rf "$files" && mkdir -p "$files"
"$python" "$here/scripts/demo_radiographs.py" "$files/demo"
cp -r "$here/tests/vectors/inputs" "$files/vectors"
predict=(predict demo vectors --format json --timeout 600 --workers 1)
# Exit status 1: a file was unreadable; one of the demo's is damaged on purpose.
(cd "$files" && "$python" -m nanoray "${predict[@]}" >"$folder/x86.json") || test $? = 1
inside sh -c "cd /opt/files && nanoray ${predict[*]}" >"$folder/arm64.json" || test $? = 1
"$python" "$here/scripts/compare_results.py" "$folder/x86.json" "$folder/arm64.json" \
  --vectors "$here/tests/vectors/expected.json"

step "A file of every transfer syntax on both processors"
rm -rf "$root/opt/tests" "$root/opt/scripts"
cp -r "$here/tests" "$root/opt/tests"
mkdir "$root/opt/scripts" && cp "$here/scripts/syntaxes.py" "$root/opt/scripts"
"$python" "$here/scripts/syntaxes.py" --write "$folder/x86.npz"
inside sh -c 'cd /opt && python scripts/syntaxes.py --write syntaxes.npz'
"$python" "$here/scripts/syntaxes.py" --compare "$folder/x86.npz" "$root/opt/syntaxes.npz"

[ "${TESTS:-yes}" != no ] || exit 0
step "The reader's tests on ARM64"
inside env PYTHONPATH=/opt/tests/support sh -c 'cd /opt && python -m pytest -q -p no:cacheprovider \
  --import-mode=importlib tests/test_vectors.py tests/reading/test_samples.py tests/reading/dicom'
