"""Physics shared by detectors: particle data, light sharing between pixels, and its kernels compiled."""

__all__ = [
    "comparison",
    "compile",
    "light",
    "particle_data",
]
