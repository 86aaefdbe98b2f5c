#!/usr/bin/env bash
# Needs the project's environment on PATH (`make benchmarks` puts it there); about a quarter of an hour on 2 cores.
set -euo pipefail
python "$(dirname "$0")/run.py" "$@"
