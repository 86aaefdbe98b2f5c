#!/usr/bin/env bash
# Needs the project's environment on PATH (`make benchmarks` puts it there); hours on 2 cores, less with `--events 7000 --files 1`.
set -euo pipefail
python "$(dirname "$0")/run.py" "$@"
