"""What Lightning is told of several processes, and what is refused."""

from __future__ import annotations

import pytest
import pytorch_lightning as lightning
import torch
from lightning_fabric.plugins.environments import (
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from pytorch_lightning.strategies import DDPStrategy

from hitlens.errors import ConfigError
from hitlens.train import distributed
from hitlens.train.config import TrainConfig
from hitlens.train.processes import Processes

CONFIG = TrainConfig(batch_size=64, accelerator="cpu")


def among(monkeypatch: pytest.MonkeyPatch, processes: Processes) -> None:
    monkeypatch.setattr(distributed, "connected", lambda: processes)


def test_one_process_gets_back_what_it_gives() -> None:
    values = torch.arange(6).view(2, 3)
    assert distributed.summed(values) is values
    assert distributed.gathered(values) is values
    assert distributed.said_by_first({"a": 1}) == {"a": 1}
    assert distributed.connected() == Processes()
    assert distributed.backend_of("cpu") == ""


def test_slurms_variables_alone_do_not_make_lightning_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"NTASKS": 4, "NTASKS_PER_NODE": 4, "PROCID": 0, "LOCALID": 0, "NODEID": 0}.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    trainer = lightning.Trainer(**distributed.trainer_settings(CONFIG), logger=False)
    assert trainer.world_size == 1
    assert isinstance(trainer._accelerator_connector.cluster_environment, LightningEnvironment)


@pytest.mark.parametrize(
    ("launcher", "kind"), [("torchrun", TorchElasticEnvironment), ("srun", SLURMEnvironment)]
)
def test_lightning_is_told_of_all_processes(
    monkeypatch: pytest.MonkeyPatch, launcher: str, kind: type
) -> None:
    among(monkeypatch, Processes(1, 6, 2, launcher))  # type: ignore[arg-type]
    settings = distributed.trainer_settings(CONFIG)
    assert (settings["devices"], settings["num_nodes"]) == (3, 2)
    assert isinstance(settings["strategy"], DDPStrategy)
    assert isinstance(settings["plugins"][0], kind)
    assert not settings["use_distributed_sampler"]


@pytest.mark.parametrize("batch_size", [63, 65])
def test_a_batch_that_cannot_be_shared_evenly_is_refused(
    monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    among(monkeypatch, Processes(1, 4, 1, "torchrun"))
    distributed.check_divisible(CONFIG, 100, 100)
    odd = CONFIG.model_copy(update={"batch_size": batch_size})
    with pytest.raises(ConfigError, match=rf"multiple of the number of processes.*Got {batch_size} and 4"):
        distributed.check_divisible(odd, 100, 100)


@pytest.mark.parametrize("numbers", [(3, 100), (100, 3)])
def test_fewer_events_than_processes_are_refused(
    monkeypatch: pytest.MonkeyPatch, numbers: tuple[int, int]
) -> None:
    among(monkeypatch, Processes(0, 4, 1, "torchrun"))
    with pytest.raises(ConfigError, match=r"Got 3|and 3"):
        distributed.check_divisible(CONFIG, *numbers)


def test_fewer_gpus_than_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    among(monkeypatch, Processes(0, 4, 2, "srun"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match="Got 2 processes and 1 GPUs"):
        distributed.check_divisible(CONFIG.model_copy(update={"accelerator": "auto"}), 100, 100)
    distributed.check_divisible(CONFIG, 100, 100)
