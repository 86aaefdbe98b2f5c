"""Job scripts for clusters: shells read them, and the commands in them exist with these options."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.main import get_command

from hitlens.cli import app
from hitlens.config import load_config
from hitlens.detectors import DETECTORS
from hitlens.errors import ConfigError
from hitlens.workflow.pool import open_pool

FOLDER = Path(__file__).parents[2] / "examples" / "cluster"
SCRIPTS = sorted(FOLDER.glob("*.sh"))


def commands(script: Path) -> Iterator[list[str]]:
    """Yield the words of each hitlens command in a script, from the name of the command on."""
    for line in script.read_text().replace("\\\n", " ").splitlines():
        if found := re.match(r"(?!#)(?:.*-m )?hitlens (.*)", line):
            yield shlex.split(found[1])


def test_there_are_scripts_for_both_batch_systems() -> None:
    names = {path.name for path in SCRIPTS}
    assert {name.partition("_")[0] for name in names} == {"slurm", "condor", "torchrun"}
    assert all(list(commands(script)) for script in SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_bash_reads_it(script: Path) -> None:
    done = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert script.stat().st_mode & 0o100
    assert "set -euo pipefail" in script.read_text()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_its_commands_exist_with_these_options(script: Path) -> None:
    known = get_command(app).commands  # type: ignore[attr-defined]
    for name, *words in commands(script):
        assert name in known
        options = {option: one for one in known[name].params for option in one.opts}
        for word in words:
            if word.startswith("-"):
                assert word in options, f"hitlens {name} has no option {word}"
        if name == "simulate":
            assert words[0] in DETECTORS
        if name == "train":
            load_config(words[0], [])
        if "--cluster" in words and "." in (cluster := words[words.index("--cluster") + 1]):
            assert cluster.split(".") in (["hitlens_site", "slurm"], ["hitlens_site", "condor"])


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.sub")), ids=lambda path: path.name)
def test_a_condor_file_starts_a_script_that_is_there(path: Path) -> None:
    settings = dict(
        (part.strip() for part in line.split("=", 1))
        for line in path.read_text().splitlines()
        if "=" in line and not line.startswith("#")
    )
    assert (FOLDER / settings["executable"]).is_file()
    assert {"request_cpus", "request_memory", "output", "error", "log"} <= set(settings)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A faked dask-jobqueue: what its clusters were asked for."""
    from distributed import LocalCluster

    asked: dict[str, Any] = {}

    class Faked(LocalCluster):
        def __init__(self, **options: Any) -> None:
            asked.update(options)
            super().__init__(n_workers=0, threads_per_worker=1, processes=False, dashboard_address=None)

        def scale(self, n: int = 0, *, jobs: int = 0) -> None:
            asked.update({"jobs": jobs} if jobs else {})
            super().scale(1 if jobs else n)

    module = ModuleType("dask_jobqueue")
    module.SLURMCluster = module.HTCondorCluster = Faked  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dask_jobqueue", module)
    monkeypatch.chdir(FOLDER)
    yield asked
    sys.modules.pop("hitlens_site", None)


@pytest.mark.parametrize("name", ["slurm", "condor"])
def test_a_factory_opens_a_pool_of_single_threads(name: str, site: dict[str, Any]) -> None:
    with open_pool(f"hitlens_site.{name}") as pool:
        assert list(pool.run(abs, [-2])) == [(0, 2)]
    assert site["processes"] == site["cores"]
    assert site["jobs"] == 4


def test_without_dask_jobqueue_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(ConfigError, match=r"hitlens_site\.slurm failed .*dask_jobqueue"):  # noqa: SIM117
        with open_pool("hitlens_site.slurm"):
            pass
    sys.modules.pop("hitlens_site", None)
