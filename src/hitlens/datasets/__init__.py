"""Events to batches: splits with leakage guard, transforms, symmetries, resident data, summaries, reports."""

__all__ = [
    "augment",
    "duplicates",
    "histograms",
    "inspection",
    "pixel_health",
    "resident",
    "splits",
    "summaries",
    "summary_kernels",
    "targets",
    "transforms",
    "truth_laws",
    "view_statistics",
]
