"""The page of a folder, whatever it holds, written again from the numbers in it."""

from __future__ import annotations

from pathlib import Path

from hitlens.io.outputs import check_output
from hitlens.workflow import crossvalidation, studies, tune_results
from hitlens.workflow.reporting import write_report


def write_page(folder: Path) -> Path:
    """Write the page of a run, a study, a search or a cross-validation again; nothing is evaluated.

    Args:
        folder: of one of these.

    Returns:
        Path of the page.

    Raises:
        RunError: the folder is none of these, or its numbers are of other models than it holds now.
        NotFoundError: the run was not evaluated, or the others are not over.
        FileFormatError: the file with the numbers is damaged.
    """
    if folder.is_dir():
        check_output(folder, "folder")
    if (folder / tune_results.SETTINGS).is_file():
        return tune_results.write_tune_page(folder)
    if (folder / studies.SETTINGS).is_file():
        return studies.write_study_page(folder)
    if (folder / crossvalidation.SETTINGS).is_file():
        return crossvalidation.write_cv_page(folder)
    return write_report(folder)
