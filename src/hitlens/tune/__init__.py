"""Search for settings: the space, the trials, and what they found."""

__all__ = ["results"]
