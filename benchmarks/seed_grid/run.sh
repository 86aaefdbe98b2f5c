#!/usr/bin/env bash
# Needs the project's environment on PATH (`make benchmarks` puts it there); hours on 2 cores, minutes with `--events 2000 --points 2`.
set -euo pipefail
python "$(dirname "$0")/run.py" "$@"
