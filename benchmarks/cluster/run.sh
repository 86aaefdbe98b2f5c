#!/usr/bin/env bash
# Needs the project's environment on PATH (`make benchmarks` puts it there); about two minutes on 2 cores.
set -euo pipefail
OMP_NUM_THREADS=1 python "$(dirname "$0")/run.py" "$@"
