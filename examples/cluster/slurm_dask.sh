#!/bin/bash
# Simulate and predict with workers that are Slurm jobs of their own, through dask-jobqueue.
# This job only deals out the work: it needs one core, and to live as long as the work takes.
#SBATCH --job-name=hitlens
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=8G
#SBATCH --time=12:00:00
set -euo pipefail
source "$HOME/hitlens/bin/activate"
cd "${SLURM_SUBMIT_DIR:-.}" # hitlens_site.py lies here; on a disk that all nodes share

hitlens simulate nova -n 1000000 --seed 1 -o nova.h5 --cluster hitlens_site.slurm
hitlens predict runs/flavour nova.h5 -o nova_scores.parquet --cluster hitlens_site.slurm --workers 64
