"""What macOS and Windows lack is not needed to import the package and to own an output."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import os, sys
for name in ("fcntl", "resource", "pwd", "grp"):
    sys.modules[name] = None
for name in ("sched_getaffinity", "pread", "statvfs"):
    if hasattr(os, name):
        delattr(os, name)
import hitlens.io.ownership, hitlens.io.download, hitlens.tune.search, hitlens.workflow.tuning
import hitlens.workflow.trials, hitlens.workflow.training, hitlens.workflow.crossvalidation, hitlens.cli
from hitlens.train.hardware import available_memory
from hitlens.workflow.pool import available_cores
from hitlens.workflow.runs import describe_machine
from pathlib import Path
from hitlens.io.ownership import owned
with owned(Path(sys.argv[1]) / "a.h5", is_folder=False):
    assert available_cores() >= 1 and describe_machine()["n_cores"] >= 1
"""


@pytest.mark.slow
def test_nothing_of_linux_alone_is_imported(tmp_path: object) -> None:
    """Buys a start without the modules of POSIX, in a process of its own that imports nearly all."""
    ended = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
