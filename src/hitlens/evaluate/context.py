"""What the evaluation of each head shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from hitlens.evaluate.baselines import BaselineColumns
from hitlens.evaluate.config import EvaluateConfig
from hitlens.evaluate.predictions import Predictions
from hitlens.evaluate.slices import Binned


@dataclass(frozen=True, eq=False)
class Context:
    """The evaluated events with all that is known of them.

    Attributes:
        predictions: those of the evaluated split.
        truth: their truth under the detector's names.
        binned: their bins in each slice variable.
        training: truth from which the constant predictor takes its constants.
        training_source: in words, where that is from.
        baselines: columns of physics methods.
        config: settings.
        rng: source of the resamplings.
        validation: predictions of the validation split, on which a cut may be chosen; None where they are
            the evaluated ones or there are none.
    """

    predictions: Predictions
    truth: pl.DataFrame
    binned: tuple[Binned, ...]
    training: pl.DataFrame
    training_source: str
    baselines: tuple[BaselineColumns, ...]
    config: EvaluateConfig
    rng: np.random.Generator
    validation: Predictions | None = None
