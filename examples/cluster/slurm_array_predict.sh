#!/bin/bash
# Predict the files of slurm_array_simulate.sh, one a task, without dask.
#SBATCH --job-name=hitlens-predict
#SBATCH --array=1-200
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=02:00:00
set -euo pipefail
source "$HOME/hitlens/bin/activate"
cd "${SLURM_SUBMIT_DIR:-.}"

export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"
task="${SLURM_ARRAY_TASK_ID:?start this with sbatch}"
[ -e "scores/cebr-$task.parquet" ] && exit 0
mkdir -p scores
hitlens predict runs/multiplicity "sample/cebr-$task.h5" --output "scores/cebr-$task.parquet"
