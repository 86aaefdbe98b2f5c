"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_cebr() -> Path:
    """Folder of the real CeBr samples; skips where it is missing."""
    folder = REAL / "cebr"
    if not folder.is_dir():
        pytest.skip(f"real samples not found: no folder {folder}")
    return folder
