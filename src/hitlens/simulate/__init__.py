"""Physics shared by detectors: particles, kinematics, light sharing between pixels, compiled kernels."""

__all__ = [
    "comparison",
    "compile",
    "fourvectors",
    "light",
    "particle_data",
    "phase_space",
]
