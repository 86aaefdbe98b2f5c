#!/usr/bin/env bash
# Needs the project's environment on PATH and the 160 tutorial events: run.sh DUNE_CVN_160.npz [--trials]
# About 10 minutes on a free core, twice that on a busy one; the trials as much again.
set -euo pipefail
export OMP_NUM_THREADS=1
python "$(dirname "$0")/run.py" "$@"
