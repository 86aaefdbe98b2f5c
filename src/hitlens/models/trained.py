"""A trained model: one safetensors file with weights, constants and origin. Loading runs no code."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from safetensors import safe_open
from safetensors.torch import save
from torch import nn

from hitlens.datasets.augment import change_images
from hitlens.datasets.pixels import view_pixels
from hitlens.datasets.regions import region_of, shown_detector
from hitlens.datasets.symmetries import OutputEffect, stated_effect
from hitlens.detector import Detector, Symmetry, Task, View
from hitlens.errors import ConfigError, DataError, ModelFileError, choose_from, foreign_errors_as
from hitlens.events import Events
from hitlens.io.atomic import written_whole
from hitlens.models import build_network
from hitlens.models.brightness import foreign_brightness
from hitlens.models.matching import align_outputs
from hitlens.models.preprocessing import Preprocessing, in_fast_layout, split_outputs

log = logging.getLogger(__name__)

#: Version of the metadata; raised when a reader of the old one would go wrong. 1: first; 2: checksums.
FORMAT = "hitlens-model"
FORMAT_VERSION = 2


class ModelCard(BaseModel):
    """All of a trained model besides its weights.

    Attributes:
        detector: name of the detector.
        description: the YAML text that describes the detector, where one does.
        task: what it predicts.
        heads: the tasks with a head of their own, in the order of the outputs.
        architecture: key of `hitlens.models.MODELS`.
        settings: the architecture's settings.
        preprocessing: constants fixed on the training split.
        symmetrise: whether predictions are averaged over the detector's symmetries; those that its
            temperature was fixed on and that its run was evaluated with were.
        symmetries: by symmetry, what it does to the outputs of each head, or why predictions are not averaged
            over it; None where the training did not say.
        temperature: by head that classifies; raw scores are divided by it, fixed on the validation split.
        split_hash: of the events in each split.
        data_checksums: sha256 by file name of the data trained on.
        seed: of the training.
        versions: of hitlens and the libraries it was trained with.
        best_epoch: counted from 0.
        validation_score: the score that chose that epoch.
        monitor: name of that score.
        predicts_in_bfloat16: whether bfloat16 changes its answers by little; None where it was not tried.
        brightest: by view, between what sizes the brightest pixels of 98 % of the training events are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    detector: str
    description: str = ""
    task: Task
    heads: tuple[Task, ...]
    architecture: str
    settings: dict[str, Any]
    preprocessing: Preprocessing
    symmetrise: bool = False
    symmetries: dict[str, dict[str, OutputEffect] | str] | None = None
    temperature: dict[str, float] = {}
    split_hash: str = ""
    data_checksums: dict[str, str] = {}
    seed: int = 0
    versions: dict[str, str] = {}
    best_epoch: int = -1
    validation_score: float | None = None
    monitor: str = ""
    predicts_in_bfloat16: bool | None = None
    brightest: dict[str, tuple[float, float]] = {}


@dataclass(frozen=True)
class TrainedModel:
    """A network with its card, ready to predict.

    Attributes:
        card: everything besides the weights.
        network: in evaluation mode.
        detector: the description the events must follow.
    """

    card: ModelCard
    network: nn.Module
    detector: Detector

    def averaging(self, symmetrise: bool | None) -> TrainedModel:
        """Return the same model with its predictions averaged over the symmetries or not; None leaves it.

        Scores of the other kind than the temperature was fixed on are no probabilities.
        """
        if symmetrise is None or symmetrise == self.card.symmetrise:
            return self
        return replace(self, card=self.card.model_copy(update={"symmetrise": symmetrise}))

    def predict(
        self, events: Events, *, batch_size: int = 2048, bfloat16: bool = False
    ) -> dict[str, NDArray[Any]]:
        """Return the answer of each head for every event, in order.

        Probabilities of shape (event, class) for heads that classify (for two classes, (event, 1): the
        signal's); values in physical units of shape (event, n_outputs) for regressions.

        Args:
            events: raw events of the model's detector, with or without truth.
            batch_size: events computed at once.
            bfloat16: compute the network in bfloat16 where the machine does so natively.

        Raises:
            DataError: the events are of another detector or have other views.
        """
        return self.answers(self.outputs(events, batch_size=batch_size, bfloat16=bfloat16))

    def outputs(
        self, events: Events, *, batch_size: int = 2048, bfloat16: bool = False
    ) -> dict[str, NDArray[Any]]:
        """Return what `answers` needs of every event, in order: the only costly part of a prediction.

        Raw scores of shape (event, n_outputs) for heads that classify, values in physical units for
        regressions, both averaged over the symmetries where the card says so. Arguments and errors as
        `predict`.
        """
        self._check(events)
        regions = self.card.preprocessing.regions
        views = {view.name: view for view in shown_detector(self.detector, regions).views}
        symmetries = self._averaged_over() if self.card.symmetrise else []
        pixels = {
            view.name: view_pixels(events.images[view.name], view, region_of(regions, view.name))
            for view in self.detector.views
        }
        batches = torch.split(torch.arange(len(events)), batch_size)
        parts = [
            self._predict_batch(
                {view: one[rows] for view, one in pixels.items()}, views, symmetries, bfloat16
            )
            for rows in batches
            if len(rows)
        ]
        return {
            head.name: np.concatenate([part[head.name] for part in parts])
            if parts
            else np.zeros((0, head.n_outputs), np.float32 if head.is_classification else np.float64)
            for head in self.card.heads
        }

    def answers(self, outputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the answer of each head from its outputs: with the temperature, scores become probabilities.

        Args:
            outputs: of `outputs`.
        """
        return {
            head.name: self._answer(head, torch.from_numpy(outputs[head.name])) for head in self.card.heads
        }

    def _check(self, events: Events) -> None:
        if events.detector != self.card.detector:
            raise DataError(
                f"The model was trained on detector '{self.card.detector}'. "
                f"The events are of '{events.detector}'."
            )
        missing = [view.name for view in self.detector.views if view.name not in events.images]
        if missing:
            raise DataError(
                f"The events have no view '{missing[0]}'. {choose_from(missing[0], events.images)}"
            )
        if foreign := foreign_brightness(self.card.brightest, events, self.detector):
            log.warning("%s", foreign)

    def _averaged_over(self) -> list[tuple[Symmetry, Mapping[str, OutputEffect]]]:
        """Symmetries that predictions are averaged over, with what each does to the outputs of the heads."""
        stated = self.card.symmetries
        averaged: list[tuple[Symmetry, Mapping[str, OutputEffect]]] = []
        for symmetry in self.detector.symmetries:
            effects = self._stated_effects(symmetry) if stated is None else stated.get(symmetry.name, {})
            if effects and not isinstance(effects, str):
                averaged.append((symmetry, effects))
        if self.detector.symmetries and not averaged:
            raise ConfigError(
                "The predictions of this model cannot be averaged over any symmetry: classes or targets "
                "do not move along in the same way for all events. Predict without it (--no-symmetrise)."
            )
        return averaged

    def _stated_effects(self, symmetry: Symmetry) -> dict[str, OutputEffect]:
        """What the description alone says; nothing where that is not enough for every head."""
        effects = {head.name: stated_effect(self.detector, symmetry, head) for head in self.card.heads}
        known = {name: effect for name, effect in effects.items() if effect and effect.can_be_undone}
        return known if len(known) == len(effects) else {}

    @torch.inference_mode()
    def _predict_batch(
        self,
        pixels: dict[str, torch.Tensor],
        views: Mapping[str, View],
        symmetries: Sequence[tuple[Symmetry, Mapping[str, OutputEffect]]],
        bfloat16: bool,
    ) -> dict[str, NDArray[Any]]:
        found: dict[str, list[torch.Tensor]] = {head.name: [] for head in self.card.heads}
        for symmetry, effects in [(None, {}), *symmetries]:
            changed = {
                name: change_images(raw, views[name], symmetry) if symmetry else raw
                for name, raw in pixels.items()
            }
            inputs = {view: self.card.preprocessing.images(view, raw) for view, raw in changed.items()}
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                outputs = self.network(inputs).float()
            for head, raw in zip(
                self.card.heads, split_outputs(self.card.heads, outputs).values(), strict=True
            ):
                values = self.card.preprocessing.unscale_output(head, raw)
                effect = effects.get(head.name)
                found[head.name].append(effect.undo(values) if effect else values)
        return {head.name: self._mean(head, found[head.name]).numpy() for head in self.card.heads}

    def _mean(self, head: Task, values: list[torch.Tensor]) -> torch.Tensor:
        """Average over symmetries, sets aligned first."""
        if head.kind == "set_regression":
            spread = values[0].new_tensor(self.card.preprocessing.targets[head.name].spread)
            values = [align_outputs(torch.stack(values), len(head.elements), spread)]
        return torch.stack(values).mean(dim=0)

    def _answer(self, head: Task, outputs: torch.Tensor) -> NDArray[Any]:
        if head.is_classification:
            scaled = outputs / self.card.temperature.get(head.name, 1.0)
            outputs = scaled.sigmoid() if head.kind == "binary" else scaled.softmax(dim=1)
        answer: NDArray[Any] = outputs.numpy()
        return answer


def save_model(model: TrainedModel, path: Path) -> None:
    """Write a trained model as one safetensors file, under a temporary name first.

    Equal models have equal bytes: numbers made with a model are known by the checksum of its file.
    """
    weights = {
        name: tensor.detach().cpu().contiguous() for name, tensor in model.network.state_dict().items()
    }
    card = model.card.model_dump_json()
    metadata = {"format": FORMAT, "format_version": str(FORMAT_VERSION), "card": card}
    metadata |= {"card_sha256": _sha256(card), "weights_sha256": _weights_sha256(weights)}
    with written_whole(path) as partial:
        partial.write_bytes(_in_fixed_order(save(weights, metadata=metadata)))


def _in_fixed_order(content: bytes) -> bytes:
    """Return a safetensors file with the keys of its header sorted; the library has them in any order."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    text = header.encode()
    text = text.ljust(-(-len(text) // 8) * 8)  # the format's own alignment
    return len(text).to_bytes(8, "little") + text + content[end:]


def read_card(path: Path) -> ModelCard:
    """Return the card of a model file without loading its weights.

    Raises:
        ModelFileError: the file is missing, damaged, foreign or from a newer version.
    """
    return _read_metadata(path)[0]


def _damage(path: Path) -> AbstractContextManager[None]:
    return foreign_errors_as(
        lambda reason: ModelFileError(
            f"{path} is not a safetensors file, or it is damaged: {reason}. Copy it again."
        )
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _weights_sha256(weights: Mapping[str, torch.Tensor]) -> str:
    """Return the checksum of names, types, shapes and bytes of all weights."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _read_metadata(path: Path) -> tuple[ModelCard, str | None]:
    """Return the card, and the checksum of the weights; None in files of version 1, which have none."""
    if not path.is_file():
        raise ModelFileError(f"No model file {path}. A finished training writes RUN/model.safetensors.")
    with _damage(path), safe_open(path, framework="pt") as file:
        metadata: dict[str, str] = file.metadata() or {}
    if metadata.get("format") != FORMAT:
        raise ModelFileError(f"{path} is a safetensors file, but not a hitlens model.")
    with _damage(path):
        version = int(metadata["format_version"])
        if version < 1:
            raise ValueError(f"there is no version {version}")
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"{path} has format version {version}; this hitlens reads up to {FORMAT_VERSION}. "
            "Install a newer hitlens."
        )
    with _damage(path):
        if version > 1 and metadata["card_sha256"] != _sha256(metadata["card"]):
            raise ValueError("its card does not have the checksum it was written with")
        checksum = metadata["weights_sha256"] if version > 1 else None
    with foreign_errors_as(lambda words: ModelFileError(f"{path}: its description cannot be read: {words}.")):
        return ModelCard(**json.loads(metadata["card"])), checksum


def load_model(path: Path, detector: Detector) -> TrainedModel:
    """Return a trained model in evaluation mode.

    Args:
        path: a file of `save_model`.
        detector: the detector its card names; see `read_card`.

    Raises:
        ModelFileError: as `read_card`, or the weights do not fit the architecture.
    """
    card, checksum = _read_metadata(path)
    with _damage(path):
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        if checksum is not None and checksum != _weights_sha256(weights):
            raise ValueError("its weights do not have the checksum they were written with")
    n_outputs = sum(head.n_outputs for head in card.heads)
    views = shown_detector(detector, card.preprocessing.regions).views
    network = build_network(card.architecture, card.settings, views, card.preprocessing.n_channels, n_outputs)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelFileError(f"{path}: the weights do not fit '{card.architecture}': {error}") from None
    return TrainedModel(card, in_fast_layout(network).eval(), detector)
