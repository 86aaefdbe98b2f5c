#!/bin/bash
# The same on one machine of one's own, without a batch system.
set -euo pipefail
export OMP_NUM_THREADS=4
torchrun --standalone --nproc-per-node 2 -m hitlens train nova/flavour --data nova.h5 --output runs/flavour --quiet
