"""What ends a training, and what is said of it."""

from __future__ import annotations

import math

import pytest

from hitlens.errors import RunError
from hitlens.train.callbacks import check_losses


def test_finite_losses_go_on() -> None:
    check_losses(1, 0.5, 1e30)


@pytest.mark.parametrize("training", [math.nan, math.inf])
@pytest.mark.parametrize("validation", [0.5, math.nan])
def test_a_training_without_a_loss_diverged(training: float, validation: float) -> None:
    with pytest.raises(RunError, match=r"Training diverged in epoch 3: .* lower train\.learning_rate"):
        check_losses(3, training, validation)


@pytest.mark.parametrize("validation", [math.nan, math.inf])
def test_validation_events_without_an_answer_are_no_divergence(validation: float) -> None:
    with pytest.raises(RunError, match=rf"validation events is {validation} after epoch 3.*0\.25") as error:
        check_losses(3, 0.25, validation)
    assert "diverged" not in str(error.value)
