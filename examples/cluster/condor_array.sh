#!/bin/bash
# Simulate and predict one file; the argument is the seed.
set -euo pipefail
seed="${1:?give the seed}"

export OMP_NUM_THREADS=1
hitlens simulate cebr -n 1000000 --seed "$seed" -o "cebr-$seed.h5" --workers 1
hitlens predict model.safetensors "cebr-$seed.h5" -o "cebr-$seed.parquet"
