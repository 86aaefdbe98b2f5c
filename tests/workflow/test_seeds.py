"""Lists of seeds, and the study that repeats a recipe with them."""

from __future__ import annotations

import pytest

from hitlens.config import RunConfig
from hitlens.errors import ConfigError
from hitlens.workflow.seeds import read_seeds, seed_study


@pytest.mark.parametrize(
    ("text", "seeds"), [("1-8", tuple(range(1, 9))), ("1,5,9", (1, 5, 9)), (" 0-1 , 7", (0, 1, 7))]
)
def test_seeds_are_numbers_and_ranges(text: str, seeds: tuple[int, ...]) -> None:
    assert read_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "1", "one", "1-2-3", "1,1", "1-3,2", "3-1", "-1", "1;2"])
def test_what_is_no_list_of_seeds_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--seeds must .* Got"):
        read_seeds(text)


def test_a_recipe_becomes_a_study_of_its_seeds() -> None:
    config = RunConfig(title="Mine", detector="cebr", task="joint")
    study = seed_study(config, (2, 7))
    assert study.title == "Mine, 2 seeds"
    assert study.base == config
    assert {name: one.train.seed for name, one in study.run_configs().items()} == {"seed2": 2, "seed7": 7}
    assert seed_study(config.model_copy(update={"title": ""}), (1, 2)).title == "cebr: joint, 2 seeds"
