"""Targets on their curves and back."""

from __future__ import annotations

import pytest
import torch

from hitlens.detectors import CEBR
from hitlens.errors import DataError
from hitlens.models.preprocessing import Preprocessing, fit_target_scaling

ENERGY = CEBR.task("single_energy")
TRUE = torch.tensor([[0.5], [2.0], [8.0]])


@pytest.mark.parametrize("curve", ["linear", "log"])
def test_scaling_and_unscaling_give_back_the_target(curve: str) -> None:
    scaling = fit_target_scaling(ENERGY, TRUE, curve)  # type: ignore[arg-type]
    both = Preprocessing(scalings={}, targets={ENERGY.name: scaling})
    scaled = both.scale_target(ENERGY, TRUE)
    assert scaled.mean().item() == pytest.approx(0, abs=1e-6)
    assert scaled.std(correction=0).item() == pytest.approx(1)
    torch.testing.assert_close(both.unscale_output(ENERGY, scaled).float(), TRUE)


def test_a_logarithm_needs_targets_above_0() -> None:
    with pytest.raises(DataError, match=r"'single_energy' must be above 0.*has -1"):
        fit_target_scaling(ENERGY, torch.tensor([[1.0], [-1.0]]), "log")


@pytest.mark.parametrize(("units", "constants"), [("maximum", (0.0, 8.0)), ("physical", (0.0, 1.0))])
def test_targets_may_be_learnt_over_the_largest_or_as_they_are(
    units: str, constants: tuple[float, float]
) -> None:
    scaling = fit_target_scaling(ENERGY, TRUE, units=units)  # type: ignore[arg-type]
    assert (scaling.mean, scaling.spread) == ((constants[0],), (constants[1],))
    both = Preprocessing(scalings={}, targets={ENERGY.name: scaling})
    torch.testing.assert_close(both.scale_target(ENERGY, TRUE), TRUE / constants[1])
    torch.testing.assert_close(both.unscale_output(ENERGY, TRUE / constants[1]).float(), TRUE)


def test_there_must_be_a_largest_target_to_divide_by() -> None:
    with pytest.raises(DataError, match=r"largest target of 'single_energy' must be above 0.*has -1"):
        fit_target_scaling(ENERGY, torch.tensor([[-1.0], [-2.0]]), units="maximum")


@pytest.mark.parametrize("start", [1_700_000_000, -1_700_000_000_000, 0])
def test_targets_large_beside_their_spread_keep_it(start: int) -> None:
    true = start + torch.arange(5, dtype=torch.float64)[:, None]
    both = Preprocessing(scalings={}, targets={ENERGY.name: fit_target_scaling(ENERGY, true)})
    scaled = both.scale_target(ENERGY, true)
    assert scaled.dtype == torch.float32
    torch.testing.assert_close(
        scaled[:, 0], torch.arange(-2, 3) / torch.tensor(2.0).sqrt(), rtol=1e-6, atol=0
    )
    torch.testing.assert_close(
        both.unscale_output(ENERGY, scaled), true, rtol=0, atol=2e-6 if start > -1e15 else 1
    )
