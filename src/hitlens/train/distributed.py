"""Exchange between the processes that train one model, and what Lightning must be told of them.

Every function here that exchanges something must be called by all processes, in the same order. In one
process alone they return what they were given.
"""

from __future__ import annotations

import inspect
import os
import signal
from datetime import timedelta
from typing import Any, TypeVar

import pytorch_lightning as lightning
import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import DDPStrategy
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from hitlens.errors import ConfigError, RunError
from hitlens.train.config import TrainConfig
from hitlens.train.processes import Processes, Store, find_processes

T = TypeVar("T")

#: DDP's name of the copying of running statistics, which are the same in all processes already.
_SYNC_BUFFERS = "forward_sync_buffers"
if _SYNC_BUFFERS not in inspect.signature(DistributedDataParallel.__init__).parameters:  # before torch 2.13
    _SYNC_BUFFERS = "broadcast_buffers"

#: How long processes wait for each other at the start.
_START = timedelta(minutes=5)


def connect(processes: Processes) -> Store:
    """Let the processes find each other; return a store that all of them share.

    Raises:
        RunError: they did not find each other.
    """
    environment = _environment(processes)
    os.environ.setdefault("MASTER_ADDR", environment.main_address)
    os.environ.setdefault("MASTER_PORT", str(environment.main_port))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    place = (environment.main_address, environment.main_port)
    try:
        distributed.init_process_group(
            backend, rank=processes.rank, world_size=processes.n_processes, init_method="env://"
        )
        store: Store = distributed.TCPStore(*place, is_master=False, timeout=_START)  # type: ignore[attr-defined]
        return store
    except (RuntimeError, ValueError) as error:
        raise RunError(
            f"The {processes.n_processes} processes did not find each other at {place[0]}:{place[1]}: {error}"
        ) from None


def disconnect() -> None:
    """Leave the group of processes."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def connected() -> Processes:
    """Return the processes this one is connected with; itself alone outside `started_together`."""
    return find_processes() if distributed.is_initialized() else Processes()


def backend_of(device: str) -> str:
    """Return the name of what carries the exchange of tensors on a device, nothing for one process."""
    if not distributed.is_initialized():
        return ""
    return "nccl" if device == "cuda" else "gloo"


def device_type(config: TrainConfig) -> str:
    """Return the type of the device a training uses, "cpu" or "cuda"."""
    return "cuda" if config.accelerator != "cpu" and torch.cuda.is_available() else "cpu"


def check_accelerator(config: TrainConfig) -> None:
    """Refuse a training on a GPU where there is none.

    Raises:
        ConfigError: train.accelerator asks for one.
    """
    if config.accelerator == "gpu" and not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        raise ConfigError("train.accelerator is gpu, and torch finds none here. Set it to auto or cpu.")


def check_divisible(config: TrainConfig, n_train: int, n_validation: int) -> None:
    """Refuse a training that cannot be dealt out evenly.

    Args:
        config: settings of training.
        n_train: events of an epoch.
        n_validation: events of the validation split.

    Raises:
        ConfigError: the batch size is no multiple of the number of processes, the last batch is to be kept,
            there are fewer events than processes, or fewer GPUs.
    """
    processes = connected()
    n = processes.n_processes
    if config.batch_size % n:
        raise ConfigError(
            f"train.batch_size must be a multiple of the number of processes, which share every batch. Got "
            f"{config.batch_size} and {n}."
        )
    if n > 1 and config.last_batch == "keep":
        raise ConfigError(
            f"{n} processes share whole batches only. Set train.last_batch=drop, or train in one process."
        )
    if min(n_train, n_validation) < n:
        raise ConfigError(
            f"{n} processes need as many events in the training and in the validation split. Got {n_train} "
            f"and {n_validation}."
        )
    if n > 1 and device_type(config) == "cuda" and torch.cuda.device_count() < processes.n_local:
        raise ConfigError(
            f"Every process needs a GPU that all processes of the machine see. Got {processes.n_local} "
            f"processes and {torch.cuda.device_count()} GPUs. Start fewer, or set train.accelerator=cpu."
        )


def trainer_settings(config: TrainConfig) -> dict[str, Any]:
    """Return the arguments of Lightning's Trainer that say on what, and with whom, it trains."""
    processes = connected()
    # The environment is given even for one process: Lightning would take any it finds for its own.
    settings = {"accelerator": config.accelerator, "devices": 1, "plugins": [_environment(processes)]}
    if processes.n_processes == 1:
        return settings
    of_ddp: dict[str, Any] = {_SYNC_BUFFERS: False, "gradient_as_bucket_view": True}
    return settings | {
        "devices": processes.n_local,
        "num_nodes": processes.n_machines,
        "strategy": DDPStrategy(**of_ddp),
        "use_distributed_sampler": False,
    }


def _environment(processes: Processes) -> ClusterEnvironment:
    if processes.launcher == "torchrun":
        return TorchElasticEnvironment()
    if processes.launcher == "srun":
        return SLURMEnvironment(auto_requeue=False)
    return LightningEnvironment()


def summed(values: torch.Tensor) -> torch.Tensor:
    """Return the sum over all processes; no gradient flows through it."""
    if distributed.is_initialized():
        values = values.detach().clone()
        distributed.all_reduce(values)
    return values


def gathered(values: torch.Tensor) -> torch.Tensor:
    """Return the rows of all processes, one process after the other; shape (row, ...)."""
    if not distributed.is_initialized():
        return values
    n_processes = distributed.get_world_size()
    lengths = [torch.empty(1, dtype=torch.long, device=values.device) for _ in range(n_processes)]
    distributed.all_gather(lengths, lengths[0].new_tensor([len(values)]))
    counts = [int(length) for length in lengths]
    # As bytes: no back end carries every type.
    row = values.contiguous().view(len(values), -1)
    padded = row.new_zeros((max(counts), row.shape[1])).view(torch.uint8)
    padded[: len(values)] = row.view(torch.uint8)
    parts = [torch.empty_like(padded) for _ in range(n_processes)]
    distributed.all_gather(parts, padded)
    rows = [part[:count].view(values.dtype) for part, count in zip(parts, counts, strict=True)]
    return torch.cat(rows).view(-1, *values.shape[1:])


def said_by_first(value: T) -> T:
    """Return the first process' value in every process."""
    if not distributed.is_initialized():
        return value
    said = [value]
    distributed.broadcast_object_list(said, 0, device=torch.device("cpu"))
    return said[0]


class EndTogether(Callback):
    """Ends all processes after the same step when one of them is told to by Ctrl-C.

    Signals reach processes at different steps; one that left alone would leave the others waiting for it. So
    after each step they agree on whether to go on; the answer is awaited after the next one, while which it
    travels. A second Ctrl-C, which launchers send, changes nothing.
    """

    def __init__(self) -> None:
        self._told = False
        self._answer = torch.zeros(1)
        self._agreeing: distributed.Work | None = None

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take the signals over from Python, and from Lightning, which would exchange at any moment."""
        signal.signal(signal.SIGINT, self._tell)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Go on, or end as after Ctrl-C in one process."""
        self._settle()
        self._answer = torch.tensor([float(self._told)])
        self._agreeing = distributed.all_reduce(self._answer, async_op=True)

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Leave no exchange open."""
        if self._agreeing is not None:
            self._agreeing.wait()

    def _settle(self) -> None:
        if self._agreeing is not None:
            self._agreeing.wait()
            self._agreeing = None
            if self._answer.item():
                raise KeyboardInterrupt

    def _tell(self, *_: object) -> None:
        self._told = True
