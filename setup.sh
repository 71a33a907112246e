#!/bin/sh
# Install what a fresh Debian 12 machine lacks, build ie_ctypes into the virtual environment .venv, and classify the sample images.
#   ./setup.sh            install and run the sample
#   ./setup.sh install    install only
# PYTHON names the interpreter (default python3, 3.10 or newer); VENV the environment's folder (default .venv).
set -eu
cd "$(dirname "$0")"
PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}

missing=
command -v "$PYTHON" >/dev/null || missing="$missing python3"
command -v cc >/dev/null || missing="$missing gcc libc6-dev"
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
if [ -n "$missing" ]; then
  as_root=
  [ "$(id -u)" -eq 0 ] || as_root=sudo
  $as_root apt-get update -q
  # shellcheck disable=SC2086  # a list of packages
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing
fi

"$PYTHON" -m venv "$VENV"
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --config-settings=build-dir=build/release '.[samples,test]'
[ "${1:-run}" = install ] || "$VENV/bin/python" samples/classification_sample.py -nt 3
