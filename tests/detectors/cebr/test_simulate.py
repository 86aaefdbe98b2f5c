from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from hitlens.detectors.cebr.response import SimulationConfig
from hitlens.detectors.cebr.simulate import (
    BLOCK_EVENTS,
    CebrSimulator,
    Deposits,
    deposit,
    draw_photons,
    draw_truth,
    expected_images,
    pixel_gains,
    propagate_photons,
    read_out,
    simulate_block,
)
from hitlens.errors import ConfigError
from hitlens.events import Events, concat
from hitlens.simulate.light import spot_image_reference


def config(**sections: Any) -> SimulationConfig:
    return SimulationConfig.model_validate(sections)


def make(n_events: int, seed: int = 1, workers: int = 1, **sections: Any) -> Events:
    return concat(list(CebrSimulator().blocks(config(**sections), n_events, seed, workers)))


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_columns_and_types() -> None:
    events = make(500, seed=3)
    images = events.dense("anode")
    assert images.shape == (500, 16, 16)
    assert images.dtype == np.uint16
    assert events.truth.schema["n_electrons"] == pl.UInt8
    assert events.truth["file"].unique().to_list() == ["simulated-seed3"]
    assert events.truth["event"].to_list() == list(range(500))
    singles = events.filter("n_electrons = 1").truth
    assert (singles["energy_2_mev"] == 0).all()
    assert singles["x_2_px"].is_null().all()
    assert singles["y_2_px"].is_null().all()


def test_truth_columns_are_the_detectors() -> None:
    from hitlens.detectors import get_detector

    detector = get_detector("cebr")
    assert make(2).truth.columns == [column.name for column in detector.truth]


def test_same_events_for_any_number_of_workers() -> None:
    n_events = 2 * BLOCK_EVENTS + 100
    one, three = make(n_events, workers=1), make(n_events, workers=3)
    assert one.dense("anode").tobytes() == three.dense("anode").tobytes()
    assert one.truth.equals(three.truth, null_equal=True)


def test_fewer_events_are_the_first_of_more() -> None:
    few, many = make(300, nuisance={"noise_photons": 3.0}), make(500, nuisance={"noise_photons": 3.0})
    np.testing.assert_array_equal(few.dense("anode"), many.dense("anode")[:300])
    assert few.truth.equals(many.truth[:300], null_equal=True)


def test_other_seeds_and_blocks_give_other_events() -> None:
    first = simulate_block(config(), 1, 0, 50).dense("anode")
    assert not np.array_equal(first, simulate_block(config(), 2, 0, 50).dense("anode"))
    assert not np.array_equal(first, simulate_block(config(), 1, 1, 50).dense("anode"))


def test_truth_does_not_change_with_the_response() -> None:
    other = make(100, nuisance={"width_scale": 1.3, "light_yield_scale": 0.5})
    assert make(100).truth.equals(other.truth, null_equal=True)


@pytest.mark.parametrize("fraction", [0.0, 0.3, 1.0])
def test_share_of_singles(fraction: float) -> None:
    truth = draw_truth(config(sample={"single_fraction": fraction}).sample, 20_000, rng())
    share = np.mean(np.isnan(truth.x_px[:, 1]))
    assert share == pytest.approx(fraction, abs=0.012)


def test_energy_ranges() -> None:
    sample = {"energy_1_mev": [0.8, 0.9], "energy_2_mev": [0.1, 0.2], "single_fraction": 0.0}
    truth = draw_truth(config(sample=sample).sample, 2000, rng())
    assert truth.energy_mev[:, 0].min() >= 0.8
    assert truth.energy_mev[:, 0].max() <= 0.9
    assert truth.energy_mev[:, 1].min() >= 0.1
    assert truth.energy_mev[:, 1].max() <= 0.2


@pytest.mark.parametrize("separation", [(0.0, 1.0), (3.0, 3.5), (15.0, 20.0)])
def test_separation_follows_the_law_of_all_pairs_within_the_range(separation: tuple[float, float]) -> None:
    chosen = draw_truth(
        config(sample={"separation_px": separation, "single_fraction": 0.0}).sample, 4000, rng()
    )
    free = draw_truth(config(sample={"single_fraction": 0.0}).sample, 400_000, rng(2))
    apart, natural = (
        np.hypot(t.x_px[:, 0] - t.x_px[:, 1], t.y_px[:, 0] - t.y_px[:, 1]) for t in (chosen, free)
    )
    assert apart.min() >= separation[0]
    assert apart.max() <= separation[1]
    inside = (natural >= separation[0]) & (natural <= separation[1])
    expected, error = natural[inside].mean(), natural[inside].std() * np.sqrt(1 / inside.sum() + 1 / 4000)
    assert apart.mean() == pytest.approx(expected, abs=4 * error)
    spread = chosen.x_px[:, 0].std(), free.x_px[inside, 0].std()
    assert spread[0] == pytest.approx(spread[1], rel=0.08)


def test_impossible_separation_in_a_corner_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hitlens.detectors.cebr.simulate._ROUNDS", 3)
    with pytest.raises(ConfigError, match="widen the range"):
        draw_truth(config(sample={"separation_px": [20.73, 20.74]}).sample, 500, rng())


def test_number_and_spectrum_of_photons() -> None:
    brems = config().bremsstrahlung
    owner, photon = draw_photons(brems, np.full(400_000, 0.8), rng())
    low, energy = brems.threshold_mev, 0.8
    mean = brems.amplitude_per_mev * (energy * np.log(energy / low) - (energy - low))
    assert len(owner) / 400_000 == pytest.approx(mean, rel=0.02)
    assert photon.min() >= low
    # Mean photon energy of (E - k) / k: the integral of (E - k) over that of (E - k) / k.
    expected = (energy - low) ** 2 / 2 / (energy * np.log(energy / low) - (energy - low))
    assert photon.mean() == pytest.approx(expected, rel=0.02)
    spent = np.bincount(owner, weights=photon)
    assert spent.max() <= energy


def test_no_photons_below_the_threshold() -> None:
    owner, photon = draw_photons(config().bremsstrahlung, np.array([0.0, 0.02, 0.03]), rng())
    assert len(owner) == len(photon) == 0


def test_photons_are_absorbed_at_exponential_distance_or_leave() -> None:
    brems = config().bremsstrahlung
    n, energy = 200_000, 0.1
    centre = np.full(n, 8.0)
    x, y, kept = propagate_photons(brems, centre, centre, np.full(n, energy), rng())
    mu = float(brems.attenuation_per_px(np.array([energy]))[0])
    # From half depth, a photon at cosine c stays inside with chance 1 - exp(-mu t / 2 |c|).
    cosine = np.linspace(1e-4, 1, 4001)
    expected = np.trapezoid(1 - np.exp(-mu * brems.thickness_px / 2 / cosine), cosine)
    assert kept.mean() == pytest.approx(expected, abs=0.004)
    assert np.hypot(x - 8, y - 8)[kept].max() < 22
    _, _, at_border = propagate_photons(brems, np.full(n, 0.67), centre, np.full(n, 0.4), rng())
    assert at_border.mean() < 0.6 * propagate_photons(brems, centre, centre, np.full(n, 0.4), rng())[2].mean()


def test_energy_is_kept_or_lost_with_photons() -> None:
    setup = config(electron={"yield_spread": 0.0})
    truth = draw_truth(setup.sample, BLOCK_EVENTS, rng())
    spots = deposit(setup, truth, rng(2))
    total = np.add.reduceat(spots.photons, spots.offsets[:-1])
    full = truth.energy_mev.sum(axis=1) * setup.electron.photons_per_mev
    assert (total <= full * (1 + 1e-12)).all()
    assert 0.01 < np.mean(total < full * (1 - 1e-9)) < 0.03
    assert (np.diff(spots.offsets) >= 1).all()
    off = config(electron={"yield_spread": 0.0}, bremsstrahlung={"amplitude_per_mev": 0.0})
    quiet = deposit(off, truth, rng(2))
    np.testing.assert_allclose(np.add.reduceat(quiet.photons, quiet.offsets[:-1]), full)


def test_deposits_move_and_narrow_with_energy() -> None:
    setup = config(sample={"single_fraction": 1.0}, bremsstrahlung={"amplitude_per_mev": 0.0})
    truth = draw_truth(setup.sample, 50_000, rng())
    spots = deposit(setup, truth, rng(2))
    energy = truth.energy_mev[:, 0]
    np.testing.assert_allclose(((spots.x_px - truth.x_px[:, 0]) / energy).std(), 0.05, rtol=0.02)
    assert (spots.depth_shift_px <= 0).all()
    np.testing.assert_allclose(np.sqrt(np.mean((spots.depth_shift_px / energy) ** 2)), 0.11, rtol=0.02)
    gain = spots.photons / energy / setup.electron.photons_per_mev
    np.testing.assert_allclose([gain.mean(), gain.std()], [1.0, setup.electron.yield_spread], rtol=0.02)


def test_expected_image_is_the_formula() -> None:
    setup = config(nuisance={"background_photons": 2.0})
    spots = Deposits(
        np.array([0, 2]), *(np.array(v) for v in ([3.0, 9.5], [4.0, 12.1], [-0.05, 0.0], [1e4, 5e3]))
    )
    expected = 2.0 + sum(
        spots.photons[i]
        * spot_image_reference(spots.x_px[i], spots.y_px[i], spots.depth_shift_px[i], setup.light)
        for i in range(2)
    )
    np.testing.assert_allclose(expected_images(setup, spots, 1)[0], expected, rtol=1e-9)


def test_shift_displaces_the_image() -> None:
    moved = config(nuisance={"shift_x_px": 1.0}, sample={"single_fraction": 1.0, "position_px": [6.0, 10.0]})
    still = config(sample={"single_fraction": 1.0, "position_px": [6.0, 10.0]})
    x = np.arange(16) + 0.5
    centres = [
        (images := simulate_block(setup, 1, 0, 400).dense("anode").astype(float)).sum(axis=2)
        @ x
        / images.sum(axis=(1, 2))
        for setup in (moved, still)
    ]
    assert np.mean(centres[0] - centres[1]) == pytest.approx(0.8, abs=0.25)


def test_photon_noise_is_poisson() -> None:
    expected = np.full((4000, 16, 16), 50.0)
    counts = read_out(config(), expected, None, rng()).astype(float)
    assert counts.mean() == pytest.approx(50.0, rel=0.002)
    assert counts.var() == pytest.approx(50.0, rel=0.01)


def test_readout_noise_gain_and_dead_pixels() -> None:
    setup = config(nuisance={"noise_photons": 10.0, "pixel_gain_spread": 0.1}, dead_pixels=[[3, 13]])
    gains = pixel_gains(setup, 1)
    assert gains is not None
    assert gains.std() == pytest.approx(0.1, rel=0.2)
    np.testing.assert_array_equal(gains, pixel_gains(setup, 1))
    assert not np.array_equal(gains, pixel_gains(setup, 2))
    expected = np.full((4000, 16, 16), 1000.0)
    counts = read_out(setup, expected, gains, rng()).astype(float)
    assert (counts[:, 3, 13] == 0).all()
    np.testing.assert_allclose(counts.mean(axis=0)[0], 1000 * gains[0], rtol=0.005)
    np.testing.assert_allclose(counts[:, 5, 5].var(), 1000 * gains[5, 5] ** 2 + 100, rtol=0.1)


def test_counts_above_16_bits_are_an_error_and_not_wrapped() -> None:
    with pytest.raises(ConfigError, match="65535"):
        make(200, nuisance={"light_yield_scale": 20.0})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0, 1, 1), "n_events"), ((10, -1, 1), "seed"), ((10, 1, 0), "workers")],
)
def test_bad_arguments(arguments: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        list(CebrSimulator().blocks(config(), *arguments))


def test_an_error_in_a_block_ends_the_others() -> None:
    blocks = CebrSimulator().blocks(config(nuisance={"light_yield_scale": 50.0}), 10 * BLOCK_EVENTS, 1, 2)
    with pytest.raises(ConfigError):
        next(blocks)
