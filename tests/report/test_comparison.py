from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from hitlens.detectors import get_detector
from hitlens.report.comparison import render_comparison_page, short, write_comparison_page
from hitlens.simulate.comparison import Comparison, FittedEvent, PixelMap, Quantity, Spectrum

CEBR = get_detector("cebr")


@pytest.fixture
def comparison() -> Comparison:
    rng = np.random.default_rng(1)
    x = np.arange(10.0)
    image = rng.poisson(40, (16, 16)).astype(float)
    return Comparison(
        detector="cebr",
        n_events=1000,
        settings={"sample": {"single_fraction": 0.5}},
        quantities=(
            Quantity("good", 10.0, 10.1, 0.1, 0.3, "statistics", "photons"),
            Quantity("bad", 10.0, 12.0, 0.1, 0.3, "statistics"),
            Quantity("known", 1.0, 2.0, float("nan"), 0.3, "figure", known="Because <walls>."),
        ),
        spectra=(Spectrum("falling", "x", "y", x, x[::-1], np.array([2.5]), np.array([7.0])),),
        maps=(PixelMap("map", "photons", image),),
        examples=(PixelMap("example", "photons", image, logarithmic=True),),
        fitted=(FittedEvent("real 1", image, np.full((16, 16), 40.0), 260.0, 252, {"x_1_px": 0.5}),),
        reference_deviance=rng.normal(1, 0.09, 100),
    )


def test_page_is_self_contained_and_complete(comparison: Comparison, tmp_path: Path) -> None:
    page = write_comparison_page(tmp_path / "page.html", comparison, CEBR).read_text()
    assert "Of 3 quantities\n1 agree" in page
    assert "Because &lt;walls&gt;." in page
    assert page.count("<img") == 6
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert "1.032" in page  # 260 / 252


def test_sections_without_content_are_left_out(comparison: Comparison) -> None:
    bare = dataclasses.replace(comparison, fitted=(), examples=(), reference_deviance=np.empty(0))
    page = render_comparison_page(bare, CEBR)
    assert 'id="fitted"' not in page
    assert 'id="examples"' not in page
    no_reference = render_comparison_page(
        dataclasses.replace(comparison, reference_deviance=np.empty(0)), CEBR
    )
    assert "Simulated singles have" not in no_reference


def test_short_numbers() -> None:
    assert [short(v, 2) for v in (0.0, 1.234, 123.4, -1e6)] == ["0", "1.2", "123", "-1,000,000"]
