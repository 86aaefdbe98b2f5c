"""The batch systems of a site as dask clusters: ``hitlens ... --cluster hitlens_site.slurm``.

Copy this file to the folder the command is given in (or anywhere Python finds it) and write in what your site
asks for. It needs dask-jobqueue (``pip install dask-jobqueue``). Workers have one thread each: as many
processes as cores. Memory is that of a job, for all its workers together.
"""

from __future__ import annotations

from typing import Any

#: Jobs to ask for; ``--workers N`` of the command asks for N workers in their place.
JOBS = 4


def slurm() -> Any:
    """Return a cluster whose workers are Slurm jobs of 8 cores."""
    from dask_jobqueue import SLURMCluster

    cluster = SLURMCluster(
        queue="batch",
        account="my-experiment",
        cores=8,
        processes=8,
        memory="32GB",
        walltime="04:00:00",
        interface="ib0",  # the network that the nodes share; see `ip link`
        job_script_prologue=["source $HOME/hitlens/bin/activate"],
        log_directory="dask-logs",
    )
    cluster.scale(jobs=JOBS)
    return cluster


def condor() -> Any:
    """Return a cluster whose workers are HTCondor jobs of 4 cores, on a file system that all nodes share."""
    from dask_jobqueue import HTCondorCluster

    cluster = HTCondorCluster(
        cores=4,
        processes=4,
        memory="16GB",
        disk="2GB",
        job_extra_directives={"+MaxRuntime": "14400", "getenv": "True"},
        log_directory="dask-logs",
    )
    cluster.scale(jobs=JOBS)
    return cluster
