"""Search for settings: the space, the trials, and what they found."""

__all__ = ["config", "results", "search", "selection", "space"]
