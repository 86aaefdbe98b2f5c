#!/usr/bin/env bash
# Needs the project's environment on PATH (`make benchmarks` puts it there); about ten minutes on 2 cores.
set -euo pipefail
python "$(dirname "$0")/run.py" "$@"
