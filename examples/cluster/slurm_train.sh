#!/bin/bash
# One training by several processes (DDP), two GPUs on each of two machines; without GPUs no --gpus-per-node.
# The batch is shared among the processes: the result is that of one process with the same batch size.
#SBATCH --job-name=hitlens-train
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2
#SBATCH --gpus-per-node=2
#SBATCH --cpus-per-task=8
#SBATCH --mem=64G
#SBATCH --time=24:00:00
set -euo pipefail
source "$HOME/hitlens/bin/activate"
cd "${SLURM_SUBMIT_DIR:-.}"

export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"
# A job that was cut off goes on where it was.
resume=()
[ -e runs/flavour/provenance.json ] && resume=(--resume)
# One process that ends with an error ends all.
srun --kill-on-bad-exit=1 \
    python -m hitlens train nova/flavour --data nova.h5 --output runs/flavour --quiet "${resume[@]}"
