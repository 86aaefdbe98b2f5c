"""Training: the loop through Lightning, losses, schedules, checkpoints, calibration."""

__all__ = [
    "bfloat16",
    "bundle",
    "calibrate",
    "callbacks",
    "checkpoints",
    "config",
    "data_module",
    "distributed",
    "engine",
    "hardware",
    "losses",
    "module",
    "optimizers",
    "precision",
    "processes",
    "scores",
    "tracking",
    "watch",
    "ways",
    "within_epoch",
]
