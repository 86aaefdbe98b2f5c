"""The report is one page that needs no network; a browser opens it without complaint."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from hitlens.detectors.cebr import DETECTOR
from hitlens.evaluate import EvaluateConfig, Reading, evaluate
from hitlens.report.drawn import DrawnFigure
from hitlens.report.embed import figure_to_bytes
from hitlens.report.event_display import draw_gallery
from hitlens.report.gallery import make_gallery
from hitlens.report.page import ReportContent, reading_warnings, render_gallery, render_report

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

FAST = EvaluateConfig(n_bootstrap=20, n_bootstrap_slices=20)

#: Most of the time of a report goes into its figures against slice variables.
FEW_SLICES = DETECTOR.model_copy(update={"slices": DETECTOR.slices[:1]})

#: Reports what a reader would see broken; added to a copy of the page.
PROBE = """<script>
window.addEventListener("load", () => {
  const images = [...document.images];
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const links = [...document.querySelectorAll("a[href^='#']")];
  document.body.dataset.probe = JSON.stringify({
    images: images.length,
    broken: images.filter(i => !i.complete || !i.naturalWidth).length,
    silent: images.filter(i => i.alt.length < 20).length,
    dangling: links.filter(a => !document.querySelector(a.getAttribute("href"))).length,
    overflow: wide > 0, requests: performance.getEntriesByType("resource").filter(
      e => !e.name.startsWith("data:")).length,
  });
});
</script>"""


class Page(HTMLParser):
    """Sources, links, identifiers and images of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.headings: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.addresses += [
            value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")
        ]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag == "img":
            self.images.append(found)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(tag)


@pytest.fixture(scope="module")
def content(make_predictions) -> ReportContent:
    predictions, events = make_predictions("joint", 400)
    results = evaluate(predictions, FEW_SLICES, FAST)
    some = make_gallery(
        predictions.with_table(predictions.table[:6]),
        {"anode": events.dense("anode")[:6]},
        DETECTOR,
        title="Some events",
        name="some",
        caption="6 of 400",
    )
    picture = figure_to_bytes(draw_gallery(some, DETECTOR.views), "png", 60)
    epochs = np.arange(3)
    history = {"epoch": epochs, "train_loss": 0.5**epochs, "val_loss": 0.6**epochs}
    history |= {"val_metric": 1 - 0.5**epochs, "lr": 0.1 / (1 + epochs), "seconds": 1.0 + epochs}
    return ReportContent(
        results=replace(results, data={"event files": "made.h5"}),
        detector=FEW_SLICES,
        history=pl.DataFrame(history),
        metric_name="accuracy",
        galleries=[("Some events", DrawnFigure("some", picture, "png", "6 of 400", some.alt, wide=True))],
        config="title: <script>alert(1)</script>",
        provenance={"best_epoch": 2, "validation_score": 0.98765, "data": {"sha256": {"made.h5": "abc"}}},
        title="Made & evaluated",
    )


@pytest.fixture(scope="module")
def rendered(content: ReportContent) -> tuple[str, tuple[DrawnFigure, ...]]:
    return render_report(content)


@pytest.fixture(scope="module")
def page(rendered: tuple[str, tuple[DrawnFigure, ...]]) -> str:
    return rendered[0]


def test_everything_is_inside_the_page(page: str) -> None:
    parsed = Page(page)
    assert parsed.addresses
    assert all(address.startswith(("data:", "#")) for address in parsed.addresses)
    assert "url(" not in page
    assert "@import" not in page
    assert "<script" not in page


def test_every_section_asked_for_is_there_and_linked(page: str) -> None:
    parsed = Page(page)
    for name in ("summary", "data", "training", "task-multiplicity", "slices-double", "gallery", "published"):
        assert name in parsed.ids
        assert f'href="#{name}"' in page
    assert len(parsed.ids) == len(set(parsed.ids))
    assert parsed.headings[0] == "h1"
    assert parsed.headings.count("h1") == 1


def test_every_picture_has_words(page: str) -> None:
    images = Page(page).images
    assert len(images) > 15
    assert all(len(image["alt"] or "") > 20 for image in images)


def test_figures_come_as_files_too(rendered: tuple[str, tuple[DrawnFigure, ...]]) -> None:
    text, figures = rendered
    names = [figure.name for figure in figures]
    assert len(names) == len(set(names))
    assert {"training", "multiplicity_roc", "multiplicity_against_separation_px"} <= set(names)
    assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in names)
    assert all(base64.b64encode(figure.content).decode() in text for figure in figures)


def test_the_same_results_give_the_same_page(content: ReportContent) -> None:
    small = replace(content, results=replace(content.results, tasks=content.results.tasks[:1]))
    assert render_report(small)[0] == render_report(small)[0]


def test_without_history_galleries_and_events_the_page_still_stands(make_predictions) -> None:
    predictions, _ = make_predictions("joint", 90)
    singles = predictions.filter("true_n_electrons = 1")
    results = evaluate(singles, FEW_SLICES, FAST)
    text, figures = render_report(ReportContent(results, FEW_SLICES))
    assert "No event of this split has a target for this task." in text
    assert 'id="gallery"' not in text
    assert 'id="training"' not in text
    assert not any(figure.name.startswith("double") for figure in figures)


def test_second_readings_of_the_test_split_are_flagged(content: ReportContent) -> None:
    once = Reading("2026-01-01T00:00:00+00:00", "test", 0.5)
    assert reading_warnings(replace(content.results, readings=(once,))) == []
    twice = replace(content.results, readings=(once, replace(once, cut=0.7)), tasks=())
    (warning,) = reading_warnings(twice)
    assert "2 times" in warning
    assert "cut 0.7" in warning
    assert warning in render_report(replace(content, results=twice))[0]
    assert "trained" in reading_warnings(replace(content.results, split="train", readings=()))[0]


def test_a_gallery_page_needs_no_network(content: ReportContent, make_predictions) -> None:
    predictions, events = make_predictions("multiplicity", 3)
    images = {"anode": events.dense("anode")}
    some = make_gallery(predictions, images, DETECTOR, title="a < b", name="s", caption="3 of 3")
    page = render_gallery(some, b"\x89PNG", "Gallery")
    assert "a &lt; b" in page
    assert all(address.startswith("data:") for address in Page(page).addresses)


def browse(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    assert BROWSER is not None
    fixed = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
    fixed += ("--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND", "--no-first-run")
    return subprocess.run(
        [BROWSER, *fixed, f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine; .ci/run installs it where it can")
def test_a_browser_opens_the_report_without_errors(page: str, tmp_path: Path) -> None:
    import json

    path = tmp_path / "report.html"
    path.write_text(page.replace("</head>", PROBE + "</head>"), encoding="utf-8")
    done = browse(tmp_path, "--window-size=1200,900", "--dump-dom", path.as_uri())
    assert done.returncode == 0, done.stderr
    assert "CONSOLE" not in done.stderr, done.stderr
    found = re.search(r'data-probe="([^"]*)"', done.stdout)
    assert found, done.stderr
    probe = json.loads(found[1].replace("&quot;", '"'))
    assert probe.pop("images") == len(Page(page).images)
    assert probe == {"broken": 0, "silent": 0, "dangling": 0, "overflow": False, "requests": 0}


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine; .ci/run installs it where it can")
@pytest.mark.parametrize("width", [1200, 500])
def test_a_browser_shows_a_picture_of_it(page: str, tmp_path: Path, width: int) -> None:
    path, picture = tmp_path / "report.html", tmp_path / "shot.png"
    path.write_text(page, encoding="utf-8")
    done = browse(tmp_path, f"--window-size={width},3000", f"--screenshot={picture}", path.as_uri())
    assert done.returncode == 0, done.stderr
    shown = np.asarray(Image.open(picture).convert("L"), dtype=float)
    assert shown.shape == (3000, width)
    # Text and figures all the way down, no empty page.
    assert min(part.std() for part in np.array_split(shown, 6)) > 5
