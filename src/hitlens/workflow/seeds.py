"""One recipe trained with several seeds: how much of a difference is the luck of a training?"""

from __future__ import annotations

import re

from hitlens.config import RunConfig, StudyConfig
from hitlens.errors import ConfigError


def read_seeds(text: str) -> tuple[int, ...]:
    """Return the seeds that a text lists, in its order.

    Args:
        text: numbers and ranges, both ends included, separated by commas.

    Raises:
        ConfigError: it lists none, one alone or one twice, or is no such list.

    Examples:
        >>> read_seeds("1-3,8")
        (1, 2, 3, 8)
    """
    seeds: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if not found:
            raise ConfigError(
                f"--seeds must list numbers and ranges, for example 1-8 or 1,5,9. Got '{text}'."
            )
        first = int(found[1])
        seeds += range(first, int(found[2] or first) + 1)
    if len(seeds) < 2 or len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds must name two seeds or more, each once. Got '{text}'.")
    return tuple(seeds)


def seed_study(config: RunConfig, seeds: tuple[int, ...], together: int = 1) -> StudyConfig:
    """Return the study that trains a recipe with each seed.

    Args:
        config: the recipe.
        seeds: two or more.
        together: most models trained at once.

    Examples:
        >>> study = seed_study(RunConfig(detector="cebr", task="joint"), (1, 5))
        >>> {name: run.train.seed for name, run in study.run_configs().items()}
        {'seed1': 1, 'seed5': 5}
    """
    return StudyConfig(
        title=f"{config.title or f'{config.detector}: {config.task}'}, {len(seeds)} seeds",
        question="How much do the numbers change from one training to the next?",
        together=together,
        base=config,
        variants={f"seed{seed}": {"train.seed": seed} for seed in seeds},
    )
