"""Physics shared by detectors: light sharing between pixels, and its kernels compiled."""

__all__ = [
    "comparison",
    "compile",
    "light",
]
