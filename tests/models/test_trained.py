"""The one-file model: round trip, exact symmetry, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import save_file

from hitlens.datasets.augment import change_images
from hitlens.datasets.symmetries import stated_effect
from hitlens.datasets.transforms import Scaling
from hitlens.detector import Task
from hitlens.detectors import get_detector
from hitlens.errors import DataError, ModelFileError
from hitlens.events import Events
from hitlens.models import build_network
from hitlens.models.preprocessing import Preprocessing, TargetScaling
from hitlens.models.trained import ModelCard, TrainedModel, load_model, read_card, save_model

CEBR = get_detector("cebr")
RNG = np.random.default_rng(5)


def events(n: int = 12) -> Events:
    images = RNG.poisson(100, (n, 16, 16)).astype(np.uint16)
    return Events({"anode": images}, pl.DataFrame({"file": ["a"] * n, "event": range(n)}), "cebr")


def model(task: Task, *, symmetrise: bool = True) -> TrainedModel:
    heads = CEBR.heads(task)
    scalings = {"anode": (Scaling(curve="log1p", offset=4.0, scale=2.0),)}
    targets = {
        head.name: TargetScaling(mean=(1.0,) * head.n_outputs, spread=(2.0,) * head.n_outputs)
        for head in heads
        if not head.is_classification
    }
    card = ModelCard(
        detector="cebr",
        task=task,
        heads=heads,
        architecture="residual_cnn",
        settings={"features": [8, 8], "blocks": [1, 1], "hidden": 16},
        preprocessing=Preprocessing(scalings=scalings, targets=targets),
        symmetrise=symmetrise,
        temperature={"multiplicity": 1.3},
    )
    torch.manual_seed(1)
    n_outputs = sum(head.n_outputs for head in heads)
    network = build_network(card.architecture, card.settings, CEBR.views, 1, n_outputs)
    return TrainedModel(card, network.eval(), CEBR)


def test_equal_models_have_equal_files(tmp_path: Path) -> None:
    before = model(CEBR.task("single"))
    contents = set()
    for number in range(6):  # the library draws the order of its keys anew each time
        path = tmp_path / f"{number}.safetensors"
        save_model(before, path)
        contents.add(path.read_bytes())
        before = load_model(path, CEBR)
    assert len(contents) == 1
    assert int.from_bytes(contents.pop()[:8], "little") % 8 == 0


@pytest.mark.parametrize("name", [task.name for task in CEBR.tasks])
def test_a_saved_model_gives_the_same_answers(name: str, tmp_path: Path) -> None:
    before = model(CEBR.task(name))
    save_model(before, tmp_path / "model.safetensors")
    after = load_model(tmp_path / "model.safetensors", CEBR)
    assert after.card == before.card
    sample = events()
    for head, values in before.predict(sample).items():
        np.testing.assert_allclose(after.predict(sample)[head], values, rtol=1e-5)


@pytest.mark.parametrize("name", [task.name for task in CEBR.tasks])
def test_a_flipped_event_gives_the_flipped_answer(name: str) -> None:
    symmetric = model(CEBR.task(name))
    sample = events()
    straight = symmetric.predict(sample)
    for symmetry in CEBR.symmetries:
        images = change_images(torch.from_numpy(sample.dense("anode")), CEBR.views[0], symmetry)
        changed = symmetric.predict(Events({"anode": images.numpy()}, sample.truth, "cebr"))
        for head in symmetric.card.heads:
            effect = stated_effect(CEBR, symmetry, head)
            assert effect is not None
            got, expected = effect.undo(torch.from_numpy(changed[head.name])).numpy(), straight[head.name]
            if head.kind == "set_regression":
                shape = (len(got), len(head.elements), -1)
                got, expected = (np.sort(a.reshape(shape)[..., 0], axis=1) for a in (got, expected))
            np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)


def test_without_averaging_the_answer_is_not_symmetric() -> None:
    plain = model(CEBR.task("multiplicity"), symmetrise=False)
    sample = events()
    flipped = Events({"anode": sample.dense("anode")[:, ::-1].copy()}, sample.truth, "cebr")
    difference = plain.predict(sample)["multiplicity"] - plain.predict(flipped)["multiplicity"]
    assert np.abs(difference).max() > 1e-4


def test_averaging_is_off_unless_the_card_or_the_caller_says_so() -> None:
    sample, task = events(), CEBR.task("multiplicity")
    plain, averaged = (model(task, symmetrise=on).predict(sample)["multiplicity"] for on in (False, True))
    assert np.abs(plain - averaged).max() > 1e-4
    for on in (False, True):
        stated = model(task, symmetrise=on)
        assert stated.averaging(None) is stated
        assert stated.averaging(on) is stated
        other = stated.averaging(not on)
        assert other.card.symmetrise is (not on)
        np.testing.assert_array_equal(other.predict(sample)["multiplicity"], plain if on else averaged)


def test_answers_do_not_depend_on_the_batch() -> None:
    joint, sample = model(CEBR.task("joint")), events(9)
    whole, pieces = joint.predict(sample), joint.predict(sample, batch_size=2)
    for head in whole:
        np.testing.assert_allclose(whole[head], pieces[head], rtol=1e-4, atol=1e-5)


def test_temperature_pulls_scores_towards_a_half() -> None:
    warm = model(CEBR.task("multiplicity"))
    cold = TrainedModel(warm.card.model_copy(update={"temperature": {}}), warm.network, CEBR)
    sample = events()
    one, other = warm.predict(sample)["multiplicity"], cold.predict(sample)["multiplicity"]
    assert (np.abs(one - 0.5) < np.abs(other - 0.5)).all()


def test_no_events_give_no_answers() -> None:
    assert model(CEBR.task("single")).predict(events(0))["single"].shape == (0, 3)


def test_other_events_are_refused() -> None:
    with pytest.raises(DataError, match="detector 'cebr'"):
        model(CEBR.task("single")).predict(
            Events({"anode": np.zeros((1, 16, 16))}, pl.DataFrame({"e": [1]}), "nova")
        )
    with pytest.raises(DataError, match=r"\(16, 16\)"):
        model(CEBR.task("single")).predict(
            Events({"anode": np.zeros((1, 8, 8))}, pl.DataFrame({"e": [1]}), "cebr")
        )


def test_files_that_are_no_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="No model file"):
        read_card(tmp_path / "none.safetensors")
    junk = tmp_path / "junk.safetensors"
    junk.write_bytes(b"not a model at all")
    with pytest.raises(ModelFileError, match="not a safetensors file"):
        read_card(junk)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"w": torch.zeros(2)}, foreign)
    with pytest.raises(ModelFileError, match="not a hitlens model"):
        read_card(foreign)


def test_a_newer_or_damaged_file_is_refused(tmp_path: Path) -> None:
    newer = tmp_path / "newer.safetensors"
    save_file({"w": torch.zeros(2)}, newer, metadata={"format": "hitlens-model", "format_version": "99"})
    with pytest.raises(ModelFileError, match="version 99"):
        read_card(newer)
    save_file(
        {"w": torch.zeros(2)},
        newer,
        metadata={"format": "hitlens-model", "format_version": "1", "card": "{}"},
    )
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_card(newer)
    good = tmp_path / "good.safetensors"
    save_model(model(CEBR.task("single")), good)
    good.write_bytes(good.read_bytes()[:-500])
    with pytest.raises(ModelFileError, match="damaged"):
        read_card(good)


def test_weights_must_fit_the_card(tmp_path: Path) -> None:
    fitting = model(CEBR.task("single"))
    other = fitting.card.model_copy(update={"architecture": "dense", "settings": {}})
    save_model(TrainedModel(other, fitting.network, CEBR), tmp_path / "odd.safetensors")
    with pytest.raises(ModelFileError, match="do not fit 'dense'"):
        load_model(tmp_path / "odd.safetensors", CEBR)


def test_no_flipped_bit_goes_unnoticed(tmp_path: Path) -> None:
    before = model(CEBR.task("single"))
    path = tmp_path / "model.safetensors"
    save_model(before, path)
    content = path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    rng = np.random.default_rng(2)
    for at in [*rng.integers(header, size=30).tolist(), *rng.integers(header, len(content), size=6).tolist()]:
        damaged = bytearray(content)
        damaged[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(ModelFileError, match=r"model\.safetensors"):
            load_model(path, CEBR)


def test_a_file_of_version_1_is_read_without_checksums(tmp_path: Path) -> None:
    before = model(CEBR.task("single"))
    path = tmp_path / "model.safetensors"
    weights = {name: tensor.contiguous() for name, tensor in before.network.state_dict().items()}
    about = {"format": "hitlens-model", "format_version": "1", "card": before.card.model_dump_json()}
    save_file(weights, path, metadata=about)
    assert load_model(path, CEBR).card == before.card
