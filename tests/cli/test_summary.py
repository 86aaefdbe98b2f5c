"""``hitlens summary``: the counts of the notebooks, of recipes and of what was trained."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from hitlens.cli import app
from hitlens.errors import NotFoundError

SHOWN = CliRunner(env={"COLUMNS": "200"})


@pytest.mark.parametrize(
    ("recipe", "total", "trainable"),
    [
        ("cebr/seed_grid_plain", "326,081", "325,249"),
        ("cebr/seed_multiplicity", "260,161", "259,457"),
        ("cebr/scaling_study", "326,081", "325,249"),
        ("nova/seed_numu_cc", "40,433", "40,433"),
        ("nova/seed_nu_energy", "40,433", "40,433"),
    ],
)
def test_the_notebooks_networks_have_their_counts(recipe: str, total: str, trainable: str) -> None:
    result = SHOWN.invoke(app, ["summary", recipe])
    assert f"Total parameters: {total}; trainable: {trainable};" in result.output
    assert result.exit_code == 0


def test_a_recipe_file_is_summarised(tmp_path: Path) -> None:
    recipe = tmp_path / "own.yaml"
    model = "{name: plain_cnn, settings: {features: [4], head: dense}}"
    recipe.write_text(f"detector: cebr\ntask: multiplicity\nmodel: {model}\n")
    output = SHOWN.invoke(app, ["summary", str(recipe)]).output
    assert "Conv2d" in output
    assert "(4, 8, 8)" in output
    # 40 + 148 + 404 of the convolutions, 3 * 16 and 512 of the normalisations, 256 * 128 + 128, 129
    assert "Total parameters: 34,177;" in output


def test_an_unknown_source_is_named() -> None:
    with pytest.raises(NotFoundError, match="seed_gird"):
        SHOWN.invoke(app, ["summary", "cebr/seed_gird"], catch_exceptions=False)
