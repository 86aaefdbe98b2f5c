#!/usr/bin/env bash
# Needs the project's environment on PATH (`make benchmarks` puts it there); about three minutes on 2 cores.
set -euo pipefail
python "$(dirname "$0")/run.py" "$@"
python "$(dirname "$0")/nova.py"
