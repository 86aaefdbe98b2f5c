"""Any selection of events, as a page or a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hitlens.errors import ConfigError, DataError, SelectionError
from hitlens.workflow import galleries
from hitlens.workflow.galleries import gallery


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list:
    """Galleries that were drawn."""
    seen = []

    def draw(found, view):
        seen.append(found)
        from hitlens.report.event_display import draw_gallery

        return draw_gallery(found, view)

    monkeypatch.setattr(galleries, "draw_gallery", draw)
    return seen


@pytest.mark.parametrize("suffix", [".html", ".png", ".svg"])
def test_every_kind_of_file(make_run, tmp_path: Path, suffix: str) -> None:
    path = gallery(make_run("multiplicity", 60), tmp_path / f"out{suffix}", n=3)
    if suffix == ".png":
        assert np.asarray(Image.open(path)).std() > 10
    else:
        assert ("data:image/png" if suffix == ".html" else "<svg") in path.read_text(encoding="utf-8")


def test_a_selection_is_most_wrong_first(make_run, tmp_path: Path, shown: list) -> None:
    where = "score_multiplicity < .9 AND true_multiplicity = 'double'"
    gallery(make_run("multiplicity", 300), tmp_path / "out.png", select=where, n=5)
    (found,) = shown
    scores = [float(text.split("score ")[1].split("\n")[0]) for text in found.captions]
    assert len(scores) == 5
    assert scores == sorted(scores)
    assert found.title == where
    assert found.caption.startswith("5 of ")
    assert found.caption.endswith("most wrong first.")
    assert (found.true_points[:, 1, 0] > 0).all()


def test_another_order_can_be_asked_for(make_run, tmp_path: Path, shown: list) -> None:
    gallery(make_run("joint", 90), tmp_path / "out.svg", order="0 - true_energy_1_mev", n=4)
    energies = [
        float(text.split("true energy ")[1].split(",")[0].split(" ")[0]) for text in shown[0].captions
    ]
    assert energies == sorted(energies, reverse=True)


def test_images_belong_to_their_events(make_run, tmp_path: Path, shown: list) -> None:
    gallery(
        make_run("single_energy", 200),
        tmp_path / "out.svg",
        select="true_energy_1_mev > .5 AND true_n_electrons = 1",
        n=4,
    )
    (found,) = shown
    for image, point in zip(found.images["anode"], found.true_points, strict=True):
        at = np.unravel_index(image.argmax(), image.shape)
        assert np.abs(np.add(at, 0.5) - point[0]).max() < 1.0


def test_a_predictions_file_needs_the_events(make_run, tmp_path: Path) -> None:
    folder = make_run("multiplicity", 60)
    with pytest.raises(ConfigError, match="--data"):
        gallery(folder / "predictions.parquet", tmp_path / "out.png")
    files = [tmp_path / "made.h5"]
    assert gallery(folder / "predictions.parquet", tmp_path / "out.svg", files=files, n=2).is_file()


def test_what_cannot_be_shown_says_why(make_run, make_cebr, tmp_path: Path) -> None:
    folder = make_run("multiplicity", 60)
    with pytest.raises(ConfigError, match=r"\.html"):
        gallery(folder, tmp_path / "out.pdf")
    with pytest.raises(SelectionError, match="No event of 60"):
        gallery(folder, tmp_path / "out.png", select="score_multiplicity > 2")
    with pytest.raises(SelectionError, match="score_multiplicity"):
        gallery(folder, tmp_path / "out.png", select="score > .5")
    from hitlens.io.native_writer import NativeWriter

    with NativeWriter(tmp_path / "short.h5", "cebr") as writer:
        writer.write(make_cebr(5))
    with pytest.raises(DataError, match="not in the event files"):
        gallery(folder, tmp_path / "out.png", files=[tmp_path / "short.h5"])
    assert not (tmp_path / "out.png").exists()
