"""Events to batches: splits with the leakage guard, transforms, symmetries, resident data, data reports."""

__all__ = [
    "augment",
    "duplicates",
    "histograms",
    "inspection",
    "pixel_health",
    "resident",
    "splits",
    "targets",
    "transforms",
    "truth_laws",
    "view_statistics",
]
