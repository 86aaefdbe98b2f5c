"""What this machine computes fast, and the allocator setting that training wants."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from pathlib import Path

import torch

log = logging.getLogger(__name__)

#: glibc's mallopt parameters, from malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


#: Flags of a processor that multiplies matrices of bfloat16 in tiles.
_AMX = {"amx_bf16", "amx_tile"}


def has_bfloat16(device: str) -> bool:
    """Whether a kind of device, "cpu" or "cuda", multiplies bfloat16 fast and well.

    A processor needs AMX: with AVX512-BF16 alone it is slower than in float32, and torch's gradients of
    convolutions are wrong where outputs are small or narrow.
    """
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return set(cpu_flags()) >= _AMX


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


def cpu_flags() -> list[str]:
    """Return what the processor says it can; nothing where the system does not tell."""
    try:
        with Path("/proc/cpuinfo").open() as file:
            return next((line for line in file if line.startswith("flags")), "").split()
    except OSError:
        return []
