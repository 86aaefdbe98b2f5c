#!/bin/bash
# The same within one Slurm job, without dask-jobqueue: a scheduler on the first node, a worker a task.
#SBATCH --job-name=hitlens
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=16
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=4G
#SBATCH --time=04:00:00
set -euo pipefail
source "$HOME/hitlens/bin/activate"
cd "${SLURM_SUBMIT_DIR:-.}"

scheduler="tcp://$(hostname):8786"
dask scheduler --host "$(hostname)" --port 8786 --no-dashboard &
srun dask worker "$scheduler" --nthreads 1 --memory-limit 0 --no-dashboard &
trap 'kill $(jobs -p)' EXIT

hitlens convert public/neutrino*.h5 nova.h5 --cluster "$scheduler"
hitlens predict runs/flavour nova.h5 -o nova_scores.parquet --cluster "$scheduler" --workers 8
