"""What is committed names no machine and no mirror, and keeps to the house style."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("src", "docs", "benchmarks", "examples", "tests", ".ci")
TEXT = {
    ".py",
    ".md",
    ".yaml",
    ".yml",
    ".toml",
    ".sh",
    ".txt",
    ".html",
    ".j2",
    ".css",
    ".js",
    ".cff",
    ".csv",
    "",
}

#: Split so that this file does not match itself.
MACHINE = re.compile("|".join(("/wo" + "rk/", "/tmp/" + r"w\b", "/ro" + "ot/", "/ho" + "me/[a-z]")))
MIRROR = re.compile("|".join((r"https?://[^ \"']*(py" + "pi|simple/)", "/op" + "t/(wheels|py" + "pi)")))
LINK_TO_A_PROJECT = re.compile(r"https://py" + r"pi\.org/project/[A-Za-z0-9_-]+/?")
BANNED_NAMES = {"utils", "helpers", "common", "misc", "manager", "data2"}


def committed_files() -> list[Path]:
    """Files of the project, as git lists them, or all where there is no git."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
        ).stdout.split("\0")
        paths = [ROOT / name for name in listed if name]
    except (OSError, subprocess.CalledProcessError):
        paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    return sorted(path for path in paths if path.is_file())


FILES = committed_files()


def test_no_machine_paths_and_no_mirrors() -> None:
    found = []
    for path in FILES:
        if path.suffix not in TEXT:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            text = LINK_TO_A_PROJECT.sub("", line)
            if MACHINE.search(text) or MIRROR.search(text):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    assert not found


@pytest.mark.parametrize("name", ["constraints.txt", "pyproject.toml"])
def test_torch_is_named_without_a_build(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert re.search(r"^\W*torch(==|>=)[0-9.]+\W*$", text, re.MULTILINE)
    assert "+cpu" not in text


def test_the_pinned_torch_is_one_and_the_same() -> None:
    pins = {
        pin
        for name in ("constraints.txt", "Makefile")
        for pin in re.findall(r"\btorch==([0-9.]+)", (ROOT / name).read_text(encoding="utf-8"))
    }
    assert pins == {"2.13.0"}


def test_modules_have_names_that_say_something() -> None:
    assert not [str(p) for p in FILES if p.suffix == ".py" and p.stem in BANNED_NAMES]


def test_files_stay_readable() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in FILES
        if path.suffix == ".py" and path.is_relative_to(ROOT / "src")
    }
    assert lengths
    assert not {name: length for name, length in lengths.items() if length > 550}
