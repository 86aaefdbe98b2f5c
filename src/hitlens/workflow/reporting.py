"""The report of a run, from what the run folder holds."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from hitlens.config import RunConfig
from hitlens.detectors import get_detector
from hitlens.errors import RunError
from hitlens.evaluate.results import Results, read_results
from hitlens.report.drawn import DrawnFigure
from hitlens.report.labels import monitor_label
from hitlens.report.page import ReportContent, render_report
from hitlens.report.render import write_whole
from hitlens.workflow import runs
from hitlens.workflow.run_events import read_run_config

METRICS, REPORT, FIGURES = "metrics.json", "report.html", "figures"


def write_report(folder: Path) -> Path:
    """Write report.html and figures/ of an evaluated run again, from metrics.json.

    The pictures of single events are taken from figures/; nothing is evaluated.

    Args:
        folder: run folder.

    Returns:
        Path of the page.

    Raises:
        RunError: the folder is not a run.
        NotFoundError: the run was not evaluated.
        FileFormatError: metrics.json is damaged.
    """
    config = read_run_config(folder)
    results = read_results(folder / METRICS)
    galleries = []
    for one in results.galleries:
        path = folder / FIGURES / f"{one.name}.png"
        if path.is_file():
            drawn = DrawnFigure(one.name, path.read_bytes(), "png", one.caption, one.alt, wide=True)
            galleries.append((one.title, drawn))
    return write_run_report(folder, config, results, galleries)


def write_run_report(
    folder: Path, config: RunConfig, results: Results, galleries: list[tuple[str, DrawnFigure]]
) -> Path:
    """Write report.html and figures/ of a run; figures of an earlier report are removed.

    Args:
        folder: run folder.
        config: its settings.
        results: of its evaluation.
        galleries: pictures of single events with their titles.

    Returns:
        Path of the page.
    """
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
    written = set()
    for figure in (*figures, *(figure for _, figure in galleries)):
        path = folder / FIGURES / f"{figure.name}.{figure.file_format}"
        written.add(write_whole(path, figure.content))
    for path in (folder / FIGURES).glob("*"):
        if path not in written and path.suffix in (".svg", ".png"):
            path.unlink()
    return write_whole(folder / REPORT, page)


def _read_history(folder: Path) -> pl.DataFrame | None:
    path = folder / runs.HISTORY
    if not path.is_file():
        return None
    try:
        return pl.read_csv(path)
    except pl.exceptions.PolarsError as error:
        raise RunError(f"{path} cannot be read: {str(error).splitlines()[0]}.") from None
