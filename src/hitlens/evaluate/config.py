"""How an evaluation is done."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class EvaluateConfig(BaseModel):
    """Settings of an evaluation.

    Attributes:
        split: which events are evaluated; "none" are events that were no part of a training.
        cut: score from which an event is called signal.
        level: coverage of the intervals.
        n_bootstrap: resamplings behind each interval.
        n_bootstrap_slices: resamplings behind the interval of one bin of a slice.
        min_events: a bin with fewer events shows no value.
        seed: of the resampling and of the choice of baseline events.
        baselines: whether other methods are run beside the model: the detector's own, and those that learn.
        baseline_events: at most so many events are given to the detector's own methods (a likelihood fit),
            drawn at random; 0 means all.
        learned: methods that learn from summary numbers of the training events; they answer all events.
        learned_events: at most so many training events teach them, drawn at random; 0 means all.
        metadata: whether the worst slices are searched, and on which quantities the performance depends.
        metadata_events: at most so many events are looked at for the latter, drawn at random; 0 means all.

    Examples:
        >>> EvaluateConfig(cut=0.7).split
        'test'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: Literal["test", "validation", "train", "none"] = "test"
    cut: float = Field(0.5, ge=0, le=1)
    level: float = Field(0.95, gt=0, lt=1)
    n_bootstrap: int = Field(500, ge=20)
    n_bootstrap_slices: int = Field(200, ge=20)
    min_events: int = Field(5, ge=1)
    seed: int = Field(1, ge=0)
    baselines: bool = True
    baseline_events: int = Field(4000, ge=0)
    learned: tuple[Literal["boosting", "calorimetric"], ...] = ("boosting", "calorimetric")
    learned_events: int = Field(50_000, ge=0)
    metadata: bool = True
    metadata_events: int = Field(6000, ge=0)
