"""The report of a run, from what the run folder holds."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import replace
from pathlib import Path

import polars as pl

from hitlens.config import RunConfig
from hitlens.detectors import get_detector
from hitlens.errors import RunError
from hitlens.evaluate.results import Results, read_results
from hitlens.io.names import inside
from hitlens.report.drawn import DrawnFigure
from hitlens.report.labels import monitor_label
from hitlens.report.page import ReportContent, render_report
from hitlens.report.render import write_whole
from hitlens.workflow import runs
from hitlens.workflow.origins import set_outdated_aside
from hitlens.workflow.run_events import read_run_config

#: File beside the figures with the checksums of model and predictions they were made from.
MADE_FROM = "made_from.json"

_PNG = b"\x89PNG\r\n\x1a\n"

log = logging.getLogger(__name__)


def write_report(folder: Path) -> Path:
    """Write report.html and figures/ of an evaluated run again, from metrics.json.

    The pictures of single events are taken from figures/; nothing is evaluated. Numbers of another model than
    the one in the folder are moved aside, not shown.

    Args:
        folder: run folder.

    Returns:
        Path of the page.

    Raises:
        RunError: the folder is not a run, it is being trained, or its numbers are of another model.
        NotFoundError: the run was not evaluated.
        FileFormatError: metrics.json is damaged.
    """
    config = read_run_config(folder)
    if runs.read_provenance(folder).get("status") == "running":
        raise RunError(f"The run in {folder} is not finished. Continue it: hitlens train ... --resume.")
    if aside := set_outdated_aside(folder):
        raise RunError(
            f"The numbers of {folder} were of another model than it holds now; they are in {aside}. Evaluate "
            f"the run: hitlens evaluate {folder}"
        )
    results = read_results(folder / runs.METRICS)
    galleries, lacking = _galleries(folder, results)
    if lacking:
        log.warning(
            "The report of %s lacks %d of %d galleries (%s): their pictures are not in %s. "
            "'hitlens evaluate' draws them; 'hitlens gallery' draws any selection.",
            *(folder, len(lacking), len(results.galleries), ", ".join(lacking), folder / runs.FIGURES),
        )
        words = f"{', '.join(lacking)}: the pictures were not there when this page was written"
        results = replace(results, data={**results.data, "galleries left out": words})
    return write_run_report(folder, config, results, galleries)


def _galleries(folder: Path, results: Results) -> tuple[list[tuple[str, DrawnFigure]], list[str]]:
    """Return the pictures of single events of these results, and the titles of those that are not there."""
    galleries, lacking = [], []
    for one in results.galleries:
        path = inside(folder / runs.FIGURES, f"{one.name}.png")
        content = path.read_bytes() if path.is_file() else b""
        if content.startswith(_PNG) and one.sha256 in ("", hashlib.sha256(content).hexdigest()):
            drawn = DrawnFigure(one.name, content, "png", one.caption, one.alt, wide=True)
            galleries.append((one.title, drawn))
        else:
            lacking.append(one.title)
    return galleries, lacking


def write_run_report(
    folder: Path,
    config: RunConfig,
    results: Results,
    galleries: list[tuple[str, DrawnFigure]],
    *,
    out: Path | None = None,
) -> Path:
    """Write report.html and figures/ of a run; figures of an earlier report are removed.

    Args:
        folder: run folder.
        config: its settings.
        results: of its evaluation.
        galleries: pictures of single events with their titles.
        out: where page and figures go, if not into the run folder.

    Returns:
        Path of the page.
    """
    target = out or folder
    provenance = runs.read_provenance(folder)
    page, figures = render_report(
        ReportContent(
            results=results,
            detector=get_detector(config.detector),
            history=_read_history(folder),
            metric_name=monitor_label(str(provenance.get("monitor", "metric"))),
            galleries=galleries,
            config=(folder / runs.CONFIG).read_text(encoding="utf-8"),
            provenance=provenance,
            title=config.title,
        )
    )
    written = {write_whole(target / runs.FIGURES / MADE_FROM, json.dumps(dict(results.made_from), indent=1))}
    for figure in (*figures, *(figure for _, figure in galleries)):
        path = inside(target / runs.FIGURES, f"{figure.name}.{figure.file_format}")
        written.add(write_whole(path, figure.content))
    for path in (target / runs.FIGURES).glob("*"):
        if path not in written and path.suffix in (".svg", ".png"):
            path.unlink()
    return write_whole(target / runs.REPORT, page)


def _read_history(folder: Path) -> pl.DataFrame | None:
    path = folder / runs.HISTORY
    if not path.is_file():
        return None
    try:
        return pl.read_csv(path, glob=False)
    except pl.exceptions.PolarsError as error:
        raise RunError(f"{path} cannot be read: {str(error).splitlines()[0]}.") from None
