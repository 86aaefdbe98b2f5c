from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hitlens.datasets.augment import change_images
from hitlens.datasets.targets import encode_target
from hitlens.detectors import get_detector
from hitlens.detectors.dune import DETECTOR
from hitlens.detectors.dune.npz import read_npz
from hitlens.evaluate.slices import bin_events
from hitlens.events import Events


def test_the_detector_is_in_the_box() -> None:
    assert get_detector("dune") is DETECTOR
    assert [(view.name, view.shape, view.axes) for view in DETECTOR.views] == [
        (name, (500, 500), ("wire", "time")) for name in "uvz"
    ]
    assert DETECTOR.key == ("file", "event")


def test_every_task_has_a_target_of_made_events(make_dune: Callable[..., Events]) -> None:
    truth = make_dune(40).truth
    for task in DETECTOR.tasks:
        for head in DETECTOR.heads(task):
            target = encode_target(truth, head)
            expected = 30 if head.name in ("interaction", "lepton_energy") else 40
            assert target.defined.sum() == expected, head.name


def test_counts_above_three_are_one_class(make_dune: Callable[..., Events]) -> None:
    truth = make_dune(8).truth.with_columns(n_proton=np.array([0, 1, 2, 3, 4, 11, 255, 0], dtype=np.uint8))
    assert encode_target(truth, DETECTOR.task("n_protons")).values[:, 0].tolist() == [0, 1, 2, 3, 3, 3, 3, 0]


def test_only_time_is_flipped_and_in_all_views_at_once() -> None:
    (symmetry,) = DETECTOR.symmetries
    images = torch.arange(500_000).reshape(2, 500, 500)
    for view in DETECTOR.views:
        flipped = change_images(images, view, symmetry)
        np.testing.assert_array_equal(flipped.numpy(), images.numpy()[:, :, ::-1])


def test_slices_hold_every_event(make_dune: Callable[..., Events]) -> None:
    truth = make_dune(40).truth
    binned = {one.variable.name: one for one in bin_events(truth, DETECTOR)}
    assert set(binned) == {variable.name for variable in DETECTOR.slices}
    assert binned["flavour"].counts() == (10,) * 4
    assert sum(binned["interaction"].counts()) == 30
    assert sum(binned["nu_energy_gev"].counts()) == 40


@pytest.mark.real
def test_every_real_event_is_in_a_bin_of_every_slice(real_dune: Path) -> None:
    (read,) = read_npz(real_dune / "dune_cvn_160.npz", 1000)
    for one in bin_events(read.truth, DETECTOR):
        assert sum(one.counts()) == (120 if one.variable.name == "interaction" else 160)
