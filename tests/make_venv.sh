#!/usr/bin/env bash
# make_venv.sh PYTHON FOLDER: a virtual environment with pip. Debian and Ubuntu ship Python without
# the venv module; it is installed where that needs no question (root), else the command is shown.
set -euo pipefail
python=$1 folder=$2

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "Python 3.11 or newer is needed; name it with: make PYTHON=/path/to/python3.11 …" >&2
  exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
  else
    echo "Python's venv module is missing; install it: sudo apt-get install python3-venv" >&2
    exit 1
  fi
fi
"$python" -m venv "$folder"
