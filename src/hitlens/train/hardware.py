"""What this machine computes fast, and the allocator setting that training wants."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from pathlib import Path
from typing import Literal

import torch

log = logging.getLogger(__name__)

#: glibc's mallopt parameters, from malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def resolve_precision(
    precision: Literal["auto", "float32", "bfloat16"], accelerator: str
) -> Literal["32-true", "bf16-mixed"]:
    """Return Lightning's name of the precision to train in.

    Args:
        precision: "auto" is bfloat16 where the machine computes it natively.
        accelerator: Lightning's "auto", "cpu" or "gpu".
    """
    if precision != "auto":
        return "bf16-mixed" if precision == "bfloat16" else "32-true"
    on_gpu = accelerator != "cpu" and torch.cuda.is_available()
    native = torch.cuda.is_bf16_supported() if on_gpu else cpu_has_bfloat16()
    return "bf16-mixed" if native else "32-true"


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 natively (AVX512-BF16 or AMX)."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and "avx512_bf16" in _cpu_flags()


def keep_freed_memory() -> bool:
    """Tell glibc to reuse freed blocks of up to 32 MiB instead of handing each back to the system.

    Training frees and asks for the same tensors every step; without this each costs page faults. It changes
    the whole process, so only a training run calls it. Returns whether it took effect.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, 1 << 25)) and bool(mallopt(_M_TRIM_THRESHOLD, 1 << 30))


def available_memory() -> int:
    """Return the bytes a process may still take: what the system has free, within the limit of its group.

    Examples:
        >>> available_memory() > 0
        True
    """
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        cached = next(
            int(line.split()[1])
            for line in (group / "memory.stat").read_text().splitlines()
            if line.startswith("inactive_file ")
        )
    except (OSError, StopIteration, ValueError):  # no group, or one without a limit ("max")
        return free
    return max(0, min(free, limit - used + cached))


def _cpu_flags() -> str:
    try:
        with Path("/proc/cpuinfo").open() as file:
            return next((line for line in file if line.startswith("flags")), "")
    except OSError:
        return ""
