"""Physics shared by detectors: particles, kinematics, transport through matter, light, compiled kernels."""

__all__ = [
    "blocks",
    "cells",
    "comparison",
    "compile",
    "deposits",
    "fibre",
    "fourvectors",
    "hadrons",
    "light",
    "matter",
    "particle_data",
    "phase_space",
    "showers",
    "tracks",
    "transport",
]
