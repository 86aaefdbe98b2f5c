"""The page of a data report: whole, escaped, and without a network."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest

from hitlens.datasets.inspection import inspect_events
from hitlens.detectors import get_detector
from hitlens.events import Events
from hitlens.report.data_page import plain_columns, render_data_page, write_data_page

CEBR = get_detector("cebr")


class Checker(HTMLParser):
    """Collects what a page loads, its ids and its links, and checks that tags close in order."""

    VOID = frozenset({"meta", "link", "img", "br", "hr", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.ids: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        self.loads += [values[name] for name in ("src", "srcset") if name in values]
        self.loads += [values["href"]] if tag == "link" else []
        self.ids |= {values["id"]} if "id" in values else set()
        self.links += [values["href"]] if tag == "a" else []
        if tag == "img":
            assert values["alt"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def check(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert all(load.startswith("data:") for load in checker.loads)
    assert {link[1:] for link in checker.links} <= checker.ids
    return checker


@pytest.fixture(scope="module")
def page(make_cebr):
    report = inspect_events([make_cebr(400)], CEBR, sources=["<b>a&b</b>.txt"])
    return render_data_page(report, CEBR)


def test_page_is_self_contained_and_well_formed(page):
    checker = check(page)
    assert len(checker.loads) == 1 + 6


def test_text_is_escaped(page):
    assert "&lt;b&gt;a&amp;b&lt;/b&gt;.txt" in page
    assert "<b>a" not in page


def test_numbers_are_on_the_page(page):
    text = re.sub(r"<[^>]*>|data:[^\"]*", " ", page)
    for part in (
        "400 events",
        "multiplicity",
        "energy of electron 1 is uniform",
        "KS distance",
        "as described",
    ):
        assert part in text


def test_flaws_are_listed(make_cebr):
    events = make_cebr(1000)
    images = events.images["anode"].copy()
    images[:, 15] = 0
    images[:, 9, 4] *= 5
    images[7] = images[8]
    images[9] = 0
    report = inspect_events([Events({"anode": images}, events.truth, "cebr")], CEBR)
    page = render_data_page(report, CEBR)
    check(page)
    assert "16 dead pixels" in page
    assert "1: (9, 4)" in page
    assert "made.txt 7; made.txt 8" in page
    assert "Nothing unusual" not in page


def test_experiment_shows_the_columns_it_has(make_cebr):
    events = make_cebr(30)
    truth = events.truth.select("file", "event").with_columns(ddas_energy=pl.Series(np.linspace(0, 1, 30)))
    report = inspect_events([Events(events.images, truth, "cebr")], CEBR)
    assert [column.name for column in plain_columns(report)] == ["ddas_energy"]
    page = render_data_page(report, CEBR)
    check(page)
    assert "8 laws could not be checked" in page
    assert "Not in these files" in page


def test_no_events(tmp_path):
    path = write_data_page(tmp_path / "new" / "page.html", inspect_events([], CEBR), CEBR)
    check(path.read_text(encoding="utf-8"))
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]


def test_sparse_views_and_codes_are_on_the_page(two_views, make_two_views):
    events = make_two_views(300)
    truth = events.truth.with_columns(
        interaction=pl.when(pl.col("evt") == 5).then(17).otherwise("interaction")
    )
    report = inspect_events([Events(events.images, truth, "two_views")], two_views)
    page = render_data_page(report, two_views)
    checker = check(page)
    assert len(checker.loads) == 1 + 1 + 1 + 2 * 2 + 1
    assert "numu CC DIS" in page
    assert "not described" in page
    assert "holds codes nobody described: 17 (1 events)" in page
    assert "Saturated values" in page or report.views[0].n_saturated == 0
