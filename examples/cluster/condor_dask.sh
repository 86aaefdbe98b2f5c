#!/bin/bash
# Needs a file system that all nodes share; hitlens_site.py lies in the folder this is submitted from.
set -euo pipefail
source "$HOME/hitlens/bin/activate"

hitlens simulate cebr -n 10000000 --seed 1 -o cebr.h5 --cluster hitlens_site.condor
hitlens predict runs/multiplicity cebr.h5 -o cebr_scores.parquet --cluster hitlens_site.condor
