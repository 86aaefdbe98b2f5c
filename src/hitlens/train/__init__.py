"""Training: the loop through Lightning, losses, schedules, checkpoints, calibration."""

__all__ = [
    "calibrate",
    "callbacks",
    "config",
    "engine",
    "hardware",
    "losses",
    "module",
    "scores",
]
