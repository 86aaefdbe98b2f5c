"""Models trained at once end as each of them does alone: lanes, seats, shared passes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hitlens.config import RunConfig
from hitlens.errors import RunError
from hitlens.events import Events
from hitlens.io.native_writer import NativeWriter
from hitlens.train.bundle import ONE_BY_ONE, Way, run_at_once
from hitlens.train.callbacks import read_history
from hitlens.train.engine import TrainingResult, run_training
from hitlens.train.module import Seat, TrainingModule
from hitlens.train.watch import Interrupted
from hitlens.workflow.preparing import Prepared, build_module, prepare, training_data

STACKED = Way(1, 3)
WAYS = (ONE_BY_ONE, Way(2, 1), STACKED, Way(2, 2))


@pytest.fixture(scope="module")
def base(make_cebr: Callable[..., Events], tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    data = tmp_path_factory.mktemp("data") / "made.h5"
    with NativeWriter(data, "cebr") as writer:
        writer.write(make_cebr(500))
    return RunConfig(
        detector="cebr",
        task="multiplicity",
        data={"files": [str(data)]},
        model={"name": "plain_cnn", "settings": {"features": [4, 4], "last_features": 8, "dropout": 0.3}},
        train={
            "epochs": 3,
            "batch_size": 50,
            "precision": "float32",
            "accelerator": "cpu",
            "learning_rate": 3e-4,  # Adam makes steps of that size of differences in rounding
        },
    )


@pytest.fixture(scope="module")
def prepared(base: RunConfig) -> Prepared:
    return prepare(base)


def changed(base: RunConfig, **train: Any) -> RunConfig:
    return base.model_copy(update={"train": base.train.model_copy(update=train)})


class Training:
    """One training, alone or among others."""

    def __init__(self, config: RunConfig, prepared: Prepared, folder: Path, **how: Any) -> None:
        self.prepared, self.folder, self.how = prepared, folder, how
        self.data = training_data(config, prepared)
        self.module: TrainingModule = build_module(config, prepared, self.data)

    def __call__(self, seat: Seat | None = None) -> TrainingResult:
        self.module.seat = seat
        split = self.prepared.split
        try:
            return run_training(
                self.module, self.data, split.train, split.validation, self.folder, progress=False, **self.how
            )
        finally:
            self.module.seat = None
            if seat is not None:
                seat.leave()

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        return {name: one.detach() for name, one in self.module.state_dict().items()}

    @property
    def losses(self) -> list[float]:
        return [float(row["val_loss"]) for row in read_history(self.folder / "history.csv")]


@pytest.fixture(scope="module")
def alone(base: RunConfig, prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> list[Training]:
    """Three seeds, each trained alone."""
    folder = tmp_path_factory.mktemp("alone")
    found = [Training(changed(base, seed=seed), prepared, folder / str(seed)) for seed in (1, 2, 3)]
    for one in found:
        one()
    return found


def assert_alike(one: Training, other: Training, tolerance: float) -> None:
    assert one.losses == pytest.approx(other.losses, rel=tolerance)
    for name, weight in other.weights.items():
        torch.testing.assert_close(one.weights[name], weight, rtol=tolerance, atol=tolerance, msg=name)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_every_way_ends_as_training_alone(
    way: Way, base: RunConfig, prepared: Prepared, alone: list[Training], tmp_path: Path
) -> None:
    """Dropout, augmentation, averaged weights, warm-up and clipping are on; three epochs of six steps."""
    members = [Training(changed(base, seed=seed), prepared, tmp_path / str(seed)) for seed in (1, 2, 3)]
    results = run_at_once(members, way, n_threads=way.lanes)
    for one, other, result in zip(members, alone, results, strict=True):
        assert isinstance(result, TrainingResult)
        assert result.n_epochs == 3
        assert_alike(one, other, 1e-3)
        files = sorted(path.name for path in (other.folder / "checkpoints").iterdir())
        assert len(list((one.folder / "checkpoints").iterdir())) == len(files)
    assert members[0].losses != members[1].losses


def test_models_keep_their_own_settings(base: RunConfig, prepared: Prepared, tmp_path: Path) -> None:
    settings = [
        {"learning_rate": 1e-3, "seed": 4},
        {"weight_decay": 0.5, "optimizer": "adam", "schedule": "constant"},
        {"hard_sampling": 0.5, "ema_decay": 0.0, "augment": False, "epochs": 2},
    ]
    members, expected = [], []
    for number, one in enumerate(settings):
        config = changed(base, **one)
        members.append(Training(config, prepared, tmp_path / f"m{number}"))
        expected.append(Training(config, prepared, tmp_path / f"a{number}"))
        expected[-1]()
    run_at_once(members, STACKED)
    for one, other in zip(members, expected, strict=True):
        assert_alike(one, other, 1e-3)


def test_bfloat16_passes_are_shared_too(base: RunConfig, prepared: Prepared, tmp_path: Path) -> None:
    configs = [changed(base, precision="bfloat16", epochs=1, seed=seed) for seed in (1, 2)]
    members = [Training(config, prepared, tmp_path / f"m{n}") for n, config in enumerate(configs)]
    results = run_at_once(members, Way(1, 2))
    for number, (member, config, result) in enumerate(zip(members, configs, results, strict=True)):
        assert isinstance(result, TrainingResult)
        assert result.precision == "bf16-mixed"
        other = Training(config, prepared, tmp_path / f"a{number}")
        other()
        assert member.losses == pytest.approx(other.losses, rel=0.05)


def test_networks_of_several_shapes_share_a_lane(
    base: RunConfig, prepared: Prepared, alone: list[Training], tmp_path: Path
) -> None:
    model = base.model.model_copy(update={"settings": {"features": [5, 4], "last_features": 8}})
    configs = [base, changed(base, seed=2), base.model_copy(update={"model": model})]
    members = [Training(config, prepared, tmp_path / str(n)) for n, config in enumerate(configs)]
    other = Training(configs[2], prepared, tmp_path / "other")
    other()
    run_at_once(members, STACKED)
    for one, expected in zip(members, (*alone[:2], other), strict=True):
        assert_alike(one, expected, 1e-3)


@pytest.mark.parametrize("way", [Way(2, 1), STACKED], ids=lambda way: way.name)
def test_a_watch_ends_its_model_and_the_next_takes_its_place(
    way: Way, base: RunConfig, prepared: Prepared, alone: list[Training], tmp_path: Path
) -> None:
    def stop(epoch: int, score: float) -> bool:
        return epoch == 0

    members = [
        Training(changed(base, seed=seed), prepared, tmp_path / str(n), watch=stop if seed == 2 else None)
        for n, seed in enumerate((2, 1, 2, 3, 2))
    ]
    results = run_at_once(members, way, n_threads=2)
    assert [one.n_epochs for one in results if isinstance(one, TrainingResult)] == [1, 3, 1, 3, 1]
    assert [one.stopped for one in results if isinstance(one, TrainingResult)] == [True, False] * 2 + [True]
    assert_alike(members[1], alone[0], 1e-3)
    assert_alike(members[3], alone[2], 1e-3)


@pytest.mark.parametrize("way", [Way(2, 1), STACKED], ids=lambda way: way.name)
def test_a_model_that_diverges_fails_alone(
    way: Way, base: RunConfig, prepared: Prepared, alone: list[Training], tmp_path: Path
) -> None:
    members = [Training(changed(base, seed=seed), prepared, tmp_path / str(seed)) for seed in (1, 2, 3)]
    with torch.no_grad():
        next(members[1].module.network.parameters()).fill_(torch.nan)
    results = run_at_once(members, way)
    assert isinstance(results[1], RunError)
    assert "diverged in epoch 1" in str(results[1])
    assert_alike(members[0], alone[0], 1e-3)
    assert_alike(members[2], alone[2], 1e-3)


@pytest.mark.parametrize("way", [Way(2, 1), STACKED], ids=lambda way: way.name)
def test_models_resume_after_their_last_complete_epoch(
    way: Way, base: RunConfig, prepared: Prepared, alone: list[Training], tmp_path: Path
) -> None:
    """They were cut off in different epochs, as a kill may leave them."""
    for seed, n_epochs in ((1, 1), (2, 2)):

        def die(epoch: int, score: float, last: int = n_epochs) -> bool:
            if epoch == last:
                raise RuntimeError("killed")
            return False

        cut = Training(changed(base, seed=seed), prepared, tmp_path / str(seed), watch=die)
        with pytest.raises(RuntimeError, match="killed"):
            cut()
    members = [
        Training(changed(base, seed=seed), prepared, tmp_path / str(seed), resume=True) for seed in (1, 2, 3)
    ]
    run_at_once(members, way)
    for one, other in zip(members, alone, strict=True):
        assert_alike(one, other, 1e-3)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_ctrl_c_ends_all_between_two_steps(
    way: Way, base: RunConfig, prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pressed = threading.Event()
    join = threading.Thread.join

    def press(thread: threading.Thread, timeout: float | None = None) -> None:
        join(thread, timeout and 0.01)
        if timeout and pressed.is_set():
            pressed.clear()
            raise KeyboardInterrupt

    def tell(epoch: int, score: float) -> bool:
        pressed.set()
        time.sleep(0.05)
        return False

    monkeypatch.setattr(threading.Thread, "join", press)
    members = [
        Training(changed(base, seed=seed, epochs=500), prepared, tmp_path / str(seed), watch=tell)
        for seed in range(1, 6)
    ]
    results = run_at_once(members, way, n_threads=way.lanes)
    begun = [one for one in results if isinstance(one, TrainingResult)]
    assert begun
    assert all(one.interrupted and one.n_epochs < 500 for one in begun)
    ended = [one for one in results if isinstance(one, (Interrupted, RunError))]
    assert len(begun) + len(ended) == 5
    assert sum(isinstance(one, Interrupted) for one in ended) == max(0, 5 - way.n_models)


def test_results_come_in_order_and_errors_stay_with_their_job() -> None:
    def job(number: int) -> Callable[[Seat], int]:
        def work(seat: Seat) -> int:
            if number == 2:
                raise ValueError("two")
            return number

        return work

    results = run_at_once([job(number) for number in range(5)], Way(2, 2), n_threads=2)
    assert [one for one in results if isinstance(one, int)] == [0, 1, 3, 4]
    assert isinstance(results[2], ValueError)
    before = torch.get_num_threads()
    run_at_once([job(0)], Way(4, 1), n_threads=1)
    assert torch.get_num_threads() == before
