"""The command line starts fast because it imports nothing heavy before it is needed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "pytorch_lightning", "polars", "matplotlib", "numba", "h5py", "sklearn", "scipy", "uproot")
COMMANDS = (
    "simulate",
    "fetch",
    "convert",
    "inspect",
    "recipes",
    "summary",
    "train",
    "rollback",
    "predict",
    "evaluate",
    "report",
    "gallery",
)

LOOK = """
import json, sys
from hitlens.cli import main
sys.argv = ["hitlens", *json.loads(sys.argv[1])]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
print("\\n" + json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def modules_after(arguments: list[str]) -> tuple[str, set[str]]:
    """What the command printed, and the packages imported by then."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK, json.dumps(arguments)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    printed, _, names = done.stdout.rstrip().rpartition("\n")
    return printed, set(json.loads(names))


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_nothing_heavy_is_imported(arguments: list[str]) -> None:
    printed, modules = modules_after(arguments)
    assert printed.strip()
    assert not modules & set(HEAVY)


def test_help_names_every_command() -> None:
    printed, _ = modules_after(["--help"])
    assert not [name for name in COMMANDS if name not in printed]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_explains_itself(command: str) -> None:
    printed, modules = modules_after([command, "--help"])
    assert "Usage" in printed
    assert "torch" not in modules
