"""The page of a folder, whatever it holds, written again from the numbers in it."""

from __future__ import annotations

from pathlib import Path

from hitlens.evaluate.study import read_study
from hitlens.report.render import write_whole
from hitlens.report.study_page import render_study
from hitlens.workflow import studies, tune_results
from hitlens.workflow.reporting import write_report


def write_page(folder: Path) -> Path:
    """Write the page of an evaluated run, a study or a search again; nothing is evaluated.

    Args:
        folder: of one of these.

    Returns:
        Path of the page.

    Raises:
        RunError: the folder is none of these.
        NotFoundError: the run was not evaluated, or study or search are not over.
        FileFormatError: the file with the numbers is damaged.
    """
    if (folder / tune_results.SETTINGS).is_file():
        return tune_results.write_tune_page(folder)
    if (folder / studies.SETTINGS).is_file():
        return write_whole(folder / studies.PAGE, render_study(read_study(folder / studies.RESULTS)))
    return write_report(folder)
