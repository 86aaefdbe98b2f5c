"""Figures inside a page."""

from __future__ import annotations

import base64
import io

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
