"""Training: the loop through Lightning, losses, schedules, checkpoints, calibration."""

__all__ = [
    "bfloat16",
    "calibrate",
    "callbacks",
    "config",
    "data_module",
    "engine",
    "hardware",
    "losses",
    "module",
    "scores",
    "tracking",
    "watch",
]
