"""README and documentation have their code blocks run as tests; other settings are in pyproject.toml."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from sybil import Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.myst import CodeBlockParser, SkipParser

# One thread for torch, here and in the commands that tests start: on a busy machine threads that wait for
# each other at every layer of a small network take many times longer. Read when torch is first imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def run_python(example: Example) -> str | None:
    """Run a ``python`` block; its traceback is the failure's message.

    Raising instead would end the whole session: Sybil 10 cannot filter chained tracebacks for pytest 9.2.
    """
    try:
        PythonEvaluator()(example)
    except Exception:
        return traceback.format_exc()
    return None


def run_shell(example: Example) -> str | None:
    """Run a ``bash`` block as a reader would; what it printed is the failure's message."""
    environment = dict(os.environ)
    environment["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), environment.get("PATH", "")))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", str(example.parsed)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode == 0:
        return None
    return f"exit code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


def enter_empty_folder(namespace: dict[str, Any]) -> None:
    """Let the blocks of one page work in a folder of their own."""
    stack = contextlib.ExitStack()
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="hitlens-docs-"))
    stack.enter_context(contextlib.chdir(folder))
    namespace["__folder__"] = stack


def leave_folder(namespace: dict[str, Any]) -> None:
    """Go back and remove what the blocks of the page wrote."""
    namespace.pop("__folder__").close()


pytest_collect_file = Sybil(
    parsers=[
        CodeBlockParser(language="python", evaluator=run_python),
        CodeBlockParser(language="bash", evaluator=run_shell),
        SkipParser(),
    ],
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    setup=enter_empty_folder,
    teardown=leave_folder,
).pytest()
