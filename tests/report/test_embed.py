"""Figures inside a page."""

from __future__ import annotations

import base64
import io
from typing import Literal

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from hitlens.report.embed import figure_to_bytes, figure_to_data_uri


def draw() -> Figure:
    figure = Figure(figsize=(4, 3))
    figure.add_subplot().plot([1, 2, 3])
    return figure


@pytest.mark.parametrize(("file_format", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_a_data_uri_holds_the_file(file_format: str, start: bytes) -> None:
    uri = figure_to_data_uri(draw(), file_format)
    head, content = uri.split(",", 1)
    assert head == {"svg": "data:image/svg+xml;base64", "png": "data:image/png;base64"}[file_format]
    assert base64.b64decode(content).startswith(start)


def test_resolution_is_dots_per_inch() -> None:
    image = Image.open(io.BytesIO(figure_to_bytes(draw(), "png", 50)))
    assert image.size == (200, 150)
    assert np.asarray(image).std() > 0


def test_the_same_figure_gives_the_same_text() -> None:
    assert figure_to_data_uri(draw()) == figure_to_data_uri(draw())


def test_pyplot_forgets_the_figure() -> None:
    from matplotlib import pyplot as plt

    figure = plt.figure()
    assert plt.fignum_exists(figure.number)
    figure_to_data_uri(figure)
    assert not plt.fignum_exists(figure.number)


@pytest.mark.parametrize("file_format", ["svg", "png"])
@pytest.mark.parametrize("name", ["$x_$", "$\\nofunction{a}$", "from $5_$ on", "$a$ and $b_$", "$\\frac{1}$"])
def test_names_with_dollar_signs_that_are_no_formula_are_drawn_as_they_are(
    name: str, file_format: Literal["svg", "png"]
) -> None:
    figure = Figure(layout="constrained")
    axes = figure.add_subplot(title=name, xlabel=name)
    axes.plot([1, 2], [1, 3], label=name)
    axes.set_xticks([1, 2], labels=[name, "b"])
    axes.text(1, 1, name)
    axes.legend()
    figure.suptitle(name)
    assert figure_to_bytes(figure, file_format)
    assert not axes.title.get_parse_math()


def test_formulas_stay_formulas() -> None:
    figure = Figure()
    axes = figure.add_subplot(title=r"$\nu_e$ at $E > 5$")
    axes.set_yscale("log")
    assert figure_to_bytes(figure)
    assert axes.title.get_parse_math()
