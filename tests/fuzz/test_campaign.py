"""A short campaign of damaged files; `make fuzz` runs a long one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_damaged_files_are_refused_by_errors_of_ours(tmp_path: Path) -> None:
    script = Path(__file__).with_name("campaign.py")
    command = [sys.executable, str(script), "--number", "4", "--seed", "3", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
