"""Events to batches: splits with leakage guard, transforms, symmetries, resident data, summaries, reports."""

__all__ = [
    "augment",
    "duplicates",
    "histograms",
    "inspection",
    "mix",
    "pixel_health",
    "pixels",
    "regions",
    "resident",
    "splits",
    "summaries",
    "summary_kernels",
    "targets",
    "transforms",
    "truth_columns",
    "truth_laws",
    "view_statistics",
]
