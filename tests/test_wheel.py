"""The built wheel works in an environment that has never seen the source."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import version
from pathlib import Path

import pytest

import hitlens

ROOT = Path(__file__).resolve().parents[1]

READ_RECIPE = """
import importlib.resources, yaml
import hitlens
recipe = importlib.resources.files("hitlens").joinpath("recipes/cebr/demo_multiplicity.yaml")
assert isinstance(yaml.safe_load(recipe.read_text(encoding="utf-8")), dict)
print(hitlens.__file__)
"""


def run(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel; the dependencies are seen through a path file, the source is not."""
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
    run(*pip, "--no-deps", "--no-index", "--ignore-installed", wheel, cwd=folder)
    return folder


@pytest.mark.slow
def test_the_command_runs(environment: Path) -> None:
    printed = run(environment / "bin" / "hitlens", "--version", cwd=environment)
    assert hitlens.__version__ in printed


@pytest.mark.slow
def test_shipped_recipes_can_be_read(environment: Path) -> None:
    printed = run(environment / "bin" / "python", "-c", READ_RECIPE, cwd=environment)
    assert Path(printed.strip()).is_relative_to(environment)


@pytest.mark.slow
def test_every_file_of_the_package_is_shipped(environment: Path) -> None:
    source = ROOT / "src" / "hitlens"
    installed = Path(sysconfig.get_path("purelib", vars={"base": str(environment)})) / "hitlens"
    files = {p.relative_to(source) for p in source.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    assert files
    assert not [str(name) for name in sorted(files) if not (installed / name).is_file()]


def test_the_installed_version_is_the_source_version() -> None:
    assert version("hitlens") == hitlens.__version__
