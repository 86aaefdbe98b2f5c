"""A cluster over two network namespaces, which see each other only through a virtual cable."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hitlens.workflow.simulation import simulate_to_file

pytestmark = pytest.mark.slow

NUMBER = os.getpid() % 60_000
NEAR, FAR = f"hitlens-near-{NUMBER}", f"hitlens-far-{NUMBER}"
ADDRESS, FAR_ADDRESS = "10.213.77.1", "10.213.77.2"
SCHEDULER = f"tcp://{ADDRESS}:8786"
COMMAND = [sys.executable, "-c", "from hitlens.cli import main; main()"]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def lay_cable() -> None:
    for name in (NEAR, FAR):
        ip("netns", "add", name)
    ends = (f"hl{NUMBER}a", f"hl{NUMBER}b")
    ip("link", "add", ends[0], "netns", NEAR, "type", "veth", "peer", "name", ends[1], "netns", FAR)
    for name, end, address in zip((NEAR, FAR), ends, (ADDRESS, FAR_ADDRESS), strict=True):
        ip("-n", name, "addr", "add", f"{address}/30", "dev", end)
        ip("-n", name, "link", "set", end, "up")
        ip("-n", name, "link", "set", "lo", "up")


def remove_cable() -> None:
    for name in (NEAR, FAR):
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


@pytest.fixture(scope="module")
def machines() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two namespaces; what is put into the list is killed at the end."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and the command ip")
    processes: list[subprocess.Popen[bytes]] = []
    try:
        try:
            lay_cable()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()
        remove_cable()


def start(
    machines: list[subprocess.Popen[bytes]], where: str, arguments: list[str], log: Path
) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        process = subprocess.Popen(
            ["ip", "netns", "exec", where, *arguments],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
    machines.append(process)
    return process


def dask(command: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"distributed.cli.dask_{command}", *arguments, "--no-dashboard"]


def worker() -> list[str]:
    return dask("worker", SCHEDULER, "--nthreads", "1", "--no-nanny")


def wait_for(log: Path, text: str) -> None:
    end = time.monotonic() + 300
    while text not in log.read_text():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)


@pytest.fixture(scope="module")
def scheduler(machines: list[subprocess.Popen[bytes]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """A scheduler on the near machine."""
    log = tmp_path_factory.mktemp("scheduler") / "log"
    start(machines, NEAR, dask("scheduler", "--host", ADDRESS, "--port", "8786"), log)
    wait_for(log, SCHEDULER)


def test_another_machine_simulates_though_one_of_its_workers_is_killed(
    machines: list[subprocess.Popen[bytes]], scheduler: None, tmp_path: Path
) -> None:
    workers = [start(machines, FAR, worker(), tmp_path / f"log{number}") for number in range(2)]
    for number in range(2):
        wait_for(tmp_path / f"log{number}", "Registered to")
    output, parts = tmp_path / "many" / "a.h5", tmp_path / "many" / "a.h5.parts"
    command = [*COMMAND, "simulate", "cebr", "-n", "40000", "--seed", "3", "-o", str(output)]
    command += ["--cluster", SCHEDULER, "--workers", "2"]
    running = start(machines, NEAR, command, tmp_path / "log")
    end = time.monotonic() + 300
    while not (finished := len(list(parts.glob("part-*.json")))):
        assert time.monotonic() < end and running.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.002)
    workers[0].send_signal(signal.SIGKILL)
    assert finished < 10
    assert running.wait(timeout=300) == 0, (tmp_path / "log").read_text()
    assert (tmp_path / "log").read_text().strip().startswith("40,000 events to")
    assert FAR_ADDRESS in (tmp_path / "log1").read_text()
    simulate_to_file(tmp_path / "one" / "a.h5", "cebr", 40_000, seed=3)
    assert output.read_bytes() == (tmp_path / "one" / "a.h5").read_bytes()
    assert not parts.exists()
    workers[1].kill()
    workers[1].wait()


def test_a_machine_with_a_disk_of_its_own_is_refused(
    machines: list[subprocess.Popen[bytes]], scheduler: None, tmp_path: Path
) -> None:
    folder = tmp_path / "output"
    folder.mkdir()
    own_disk = f"mount -t tmpfs none {folder} && exec {' '.join(worker())}"
    start(machines, FAR, ["unshare", "--mount", "sh", "-c", own_disk], tmp_path / "log0")
    wait_for(tmp_path / "log0", "Registered to")
    command = [*COMMAND, "simulate", "cebr", "-n", "100", "-o", str(folder / "a.h5"), "--cluster", SCHEDULER]
    running = start(machines, NEAR, command, tmp_path / "log")
    assert running.wait(timeout=300) == 2
    said = " ".join((tmp_path / "log").read_text().split())
    assert f"Worker tcp://{FAR_ADDRESS}:" in said
    assert f"does not see the folder {folder}/a.h5.parts" in said
    assert list(folder.iterdir()) == []
