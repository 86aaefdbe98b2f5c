"""What a network is trained in: bfloat16 only where its gradients are then what they are in float32."""

from __future__ import annotations

import copy
import logging
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from hitlens.datasets.resident import Batch, ResidentData
from hitlens.datasets.streaming import StreamedData
from hitlens.train.data_module import EventDataModule
from hitlens.train.distributed import device_type
from hitlens.train.hardware import has_bfloat16
from hitlens.train.module import TrainingModule

log = logging.getLogger(__name__)

#: Largest norm of the change of a parameter's gradient in bfloat16, in units of the norm of that gradient
#: plus a share of the whole gradient's. Rounding alone changes gradients of fresh networks by 0.05 to 0.2.
TOLERANCE, SHARE_OF_WHOLE = 0.3, 0.03

#: Passes in bfloat16 that are compared: kernels that read memory they never wrote fail now and then.
_N_PASSES = 3


def training_precision(
    module: TrainingModule, data: ResidentData | StreamedData, rows: NDArray[np.int64]
) -> Literal["32-true", "bf16-mixed"]:
    """Return Lightning's name of the precision to train in.

    With "auto" that is bfloat16 where the machine multiplies it well and this network's gradients on a batch
    of the training events bear it. Asked for by name, bfloat16 is taken, with a warning where it is not safe.

    Args:
        module: network and everything a step needs; left as it is.
        data: all events.
        rows: positions of the training split.
    """
    config = module.config
    device = device_type(config)
    if config.precision == "float32":
        return "32-true"
    if config.precision == "bfloat16":
        if not has_bfloat16(device):
            log.warning(
                "train.precision=bfloat16 on a machine that does not multiply bfloat16 natively (a processor "
                "without AMX, or a GPU without bfloat16): it is slower than float32, and on such processors "
                "gradients can be wrong. train.precision=auto takes float32 here."
            )
        return "bf16-mixed"
    if not has_bfloat16(device):
        return "32-true"
    some = rows[:: max(1, len(rows) // config.batch_size)][: config.batch_size]
    batch = next(iter(EventDataModule(data, rows, some, config).val_dataloader()))
    if gradients_agree(module, batch, device):
        return "bf16-mixed"
    log.warning("This network's gradients differ in bfloat16 from those in float32: trained in float32.")
    return "32-true"


def gradients_agree(module: TrainingModule, batch: Batch, device: str = "cpu") -> bool:
    """Return whether the gradients of one step are in bfloat16 what they are in float32, but for rounding.

    Args:
        module: network and everything a step needs; left as it is.
        batch: training events.
        device: "cpu" or "cuda".
    """
    batch = batch.to(torch.device(device))
    exact = _gradients(module, batch, device, bfloat16=False)
    whole = torch.stack([one.norm() for one in exact]).norm()
    if not whole > 0:
        return False
    for _ in range(_N_PASSES):
        changed = _gradients(module, batch, device, bfloat16=True)
        for one, other in zip(exact, changed, strict=True):
            # A comparison with NaN is false.
            if not (other - one).norm() <= TOLERANCE * (one.norm() + SHARE_OF_WHOLE * whole):
                return False
    return True


def _gradients(module: TrainingModule, batch: Batch, device: str, *, bfloat16: bool) -> list[torch.Tensor]:
    """Gradients of a copy of the network after one step's backward pass, by parameter."""
    own = copy.deepcopy(module).to(device)
    own.seat = None
    own.train()
    own.seed_draws(0)
    with torch.autocast(device, dtype=torch.bfloat16, enabled=bfloat16):
        loss = own.training_step(batch, 0)
    loss.backward()  # type: ignore[no-untyped-call]
    return [one.grad.float() for one in own.network.parameters() if one.grad is not None]
