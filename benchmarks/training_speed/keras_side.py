"""Train the seed's network in Keras on prepared arrays; print one JSON line of what it took.

Runs in the benchmark's own environment (see requirements.txt), not in the project's.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # the log level must be set first
import numpy as np
from keras import layers

N_PARAMETERS = 326_081


def seed_network() -> keras.Model:
    """The seed notebook's network: two modules of three convolutions, one last convolution, one output."""
    steps: list[layers.Layer] = [layers.Input((16, 16, 1))]
    for n_features in (32, 64):
        for size, stride in ((3, 1), (3, 1), (5, 2)):
            steps.append(layers.Conv2D(n_features, size, strides=stride, padding="same", activation="relu"))
            steps.append(layers.BatchNormalization())
        steps.append(layers.Dropout(0.4))
    steps.append(layers.Conv2D(128, 4, padding="valid", activation="relu"))
    steps.append(layers.BatchNormalization())
    steps.append(layers.Dropout(0.4))
    steps.extend([layers.Flatten(), layers.Dense(1, activation="sigmoid")])
    model = keras.Sequential(steps)
    if model.count_params() != N_PARAMETERS:
        raise SystemExit(f"the network must have {N_PARAMETERS} parameters, got {model.count_params()}")
    return model


class Clock(keras.callbacks.Callback):
    """Seconds of each epoch with its validation."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.seconds.append(time.perf_counter() - self._start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of train_x.npy and the others")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    keras.utils.set_random_seed(options.seed)
    train_x, train_y, validation_x, validation_y = (
        np.load(options.data / f"{name}.npy")
        for name in ("train_x", "train_y", "validation_x", "validation_y")
    )
    model = seed_network()
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="binary_crossentropy", metrics=["accuracy"])
    clock = Clock()
    history = model.fit(
        train_x[..., None],
        train_y,
        batch_size=options.batch_size,
        epochs=options.epochs,
        validation_data=(validation_x[..., None], validation_y),
        validation_batch_size=1024,
        callbacks=[clock],
        verbose=0,
    )
    result = {
        "seconds": clock.seconds,
        "accuracy": history.history["val_accuracy"],
        "n_train": len(train_x),
        "version": f"Keras {keras.__version__} on {keras.backend.backend()}",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
