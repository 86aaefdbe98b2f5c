#!/bin/bash
# One file a task, without dask: the seed is the number of the task, so every file holds other events.
# Best for samples that need not be one file. A task that failed is repeated by its number: --array=17
#SBATCH --job-name=hitlens-simulate
#SBATCH --array=1-200
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=02:00:00
set -euo pipefail
source "$HOME/hitlens/bin/activate"
cd "${SLURM_SUBMIT_DIR:-.}"

task="${SLURM_ARRAY_TASK_ID:?start this with sbatch}"
# A file has its name only when it is whole: what is there is finished.
[ -e "sample/cebr-$task.h5" ] && exit 0
hitlens simulate cebr -n 5000000 --seed "$task" -o "sample/cebr-$task.h5" --workers "${SLURM_CPUS_PER_TASK:-1}"
