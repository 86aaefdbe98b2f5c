"""The short form of the campaign ``make kill``."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest


@pytest.mark.slow
def test_commands_that_are_killed_end_as_if_they_had_not_been(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buys what no other test has: real signals at random moments, over the whole command."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    problems = importlib.import_module("kill").campaign(3, 2, 50.0, ("train", "convert", "predict"))
    assert problems
    assert not [text for texts in problems.values() for text in texts]
