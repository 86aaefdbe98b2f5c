from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hitlens.detectors.cebr.columns import TRACES
from hitlens.detectors.cebr.traces import pulse_shape, read_traces
from hitlens.errors import FileFormatError
from hitlens.events import Events, concat

ONE = [1, 200, 5000, 1.0, 0.06, 60, 4150, 0, 0, 0, 0]
TWO = [2, 200, 5000, 1.0, 0.06, 60, 4150, 7000, 0.9, 0.058, 118]


def put(path: Path, *heads: list[float], n_samples: int = 200) -> Path:
    samples = np.arange(len(heads) * n_samples).reshape(len(heads), n_samples) / 4
    lines = [" ".join(map(str, [*head, *row])) for head, row in zip(heads, samples.tolist(), strict=True)]
    path.write_text("\n".join(lines))
    return path


def truth_of(events: Events) -> np.ndarray:
    names = [column.name for column in TRACES]
    return events.truth.select(pl.col(names).cast(pl.Float64)).to_numpy()


def test_traces(tmp_path: Path) -> None:
    events = concat(list(read_traces(put(tmp_path / "training_pm1.dat", ONE, TWO, ONE), 2)))
    assert list(events.images) == ["trace"]
    assert events.images["trace"].shape == (3, 1, 200)
    assert events.images["trace"][1, 0, :2].tolist() == [50.0, 50.25]
    assert events.truth.columns == ["file", "event", *(column.name for column in TRACES)]
    assert events.truth["n_pulses"].to_list() == [1, 2, 1]
    assert events.truth["amplitude_2"].to_list() == [0, 7000, 0]
    assert events.truth["position_2_samples"].is_null().to_list() == [True, False, True]


def test_the_pulse_law() -> None:
    truth = np.array([[2, 5000, 1.0, 0.06, 60, 4150, 7000, 0.9, 0.058, 118]])
    t = np.arange(200)
    expected = 4150.0
    for a, rise, decay, pos in ((5000, 1.0, 0.06, 60), (7000, 0.9, 0.058, 118)):
        expected = expected + a * np.exp(-decay * (t - pos)) / (1 + np.exp(-rise * (t - pos)))
    np.testing.assert_allclose(pulse_shape(truth)[0], expected)
    single = truth.copy()
    single[0, 6:] = [0, np.nan, np.nan, np.nan]
    assert np.isfinite(pulse_shape(single)).all()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        (0, 3, "pulses must be 1 or 2"),
        (1, 199, "samples must be 200"),
        (7, 5, "amplitude 2 must be 0"),
        (6, float("nan"), "finite"),
    ],
)
def test_bad_traces(tmp_path: Path, field: int, value: float, words: str) -> None:
    bad = list(ONE)
    bad[field] = value
    path = put(tmp_path / "a.dat", TWO, bad)
    with pytest.raises(FileFormatError, match=words) as caught:
        list(read_traces(path, 10))
    assert (caught.value.line, caught.value.column) == (2, field + 1)
    skipped: list[str] = []
    assert [len(block) for block in read_traces(path, 10, skipped)] == [1]


@pytest.mark.real
def test_the_real_trace_follows_the_law(real_cebr: Path) -> None:
    events = next(read_traces(real_cebr / "trace_example_row0.txt", 10))
    assert events.truth["n_pulses"].to_list() == [2]
    residual = np.asarray(events.images["trace"])[0, 0] - pulse_shape(truth_of(events))[0]
    assert residual.std() == pytest.approx(13.2, rel=0.15)
    assert abs(residual.mean()) < 4
