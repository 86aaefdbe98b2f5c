"""One measurement in a process of its own: loader and trainings on streamed or resident data, as JSON.

Called by run.py: detector, "streaming" or "resident", processor seconds a training, pool, files. The data are
those of a training: 60 % of the events, drawn at random.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import torch

from hitlens.datasets.augment import Augmentation
from hitlens.datasets.resident import Batch, ResidentData, ResidentLoader
from hitlens.datasets.stored import open_stored
from hitlens.datasets.streaming import StreamedData, StreamingLoader
from hitlens.datasets.transforms import Scaling
from hitlens.detector import Detector, Task
from hitlens.detectors import get_detector
from hitlens.models import build_network
from hitlens.models.preprocessing import Preprocessing
from hitlens.train.config import TrainConfig
from hitlens.train.hardware import keep_freed_memory
from hitlens.train.module import TrainingModule
from hitlens.workflow.data import read_events

BATCH = 256
TASKS = {"cebr": "multiplicity", "nova": "flavour"}
#: Networks by detector; NOvA's are light, as in its recipes, so that reading counts.
MODELS: dict[str, dict[str, dict[str, object]]] = {
    "cebr": {"plain_cnn": {}, "residual_cnn": {}},
    "nova": {
        "plain_cnn": {"features": (4, 8), "last_features": 16},
        "residual_cnn": {
            "features": (32, 64, 128),
            "blocks": (1, 1, 1),
            "stem_kernel": 6,
            "stem_stride": 4,
            "shared_towers": True,
        },
    },
}


def megabytes(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name))) / 1024


class Data:
    """Either kind of data, and its epochs."""

    def __init__(self, detector: Detector, task: Task, memory: str, pool: int, files: list[Path]) -> None:
        heads = (task,)
        if memory == "streaming":
            events = open_stored(files, detector, [*detector.labels, *(c.name for c in detector.truth)])
            self.data = StreamedData.from_events(events, detector, heads, shuffle_events=pool)
        else:
            self.data = ResidentData.from_events(read_events(files, detector), detector, heads)
        n = len(self.data)
        self.rows = np.sort(np.random.default_rng(1).permutation(n)[: int(0.6 * n)])
        if isinstance(self.data, StreamedData):
            self.shuffle = self.data.shuffle(self.rows, BATCH, 0, 1)

    def epoch(self, number: int) -> Iterator[Batch]:
        if isinstance(self.data, StreamedData):
            return iter(StreamingLoader(self.data, self.shuffle, number))
        return iter(ResidentLoader(self.data, self.rows, BATCH, shuffle_seed=(1, number), drop_last=True))

    def endless(self) -> Generator[Batch, None, None]:
        number = 0
        while True:
            yield from self.epoch(number)
            number += 1


class Clock:
    """Seconds on the clock and of processor time, of all threads."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def speed(self, n: int) -> tuple[float, float]:
        """Events by second on the clock and of processor time."""
        return n / (time.perf_counter() - self._wall), n / (time.process_time() - self._cpu)

    def cpu(self) -> float:
        return time.process_time() - self._cpu


def loader_speed(data: Data) -> tuple[float, float]:
    """Speed of whole epochs, the second of two."""
    for number in range(2):
        clock, n = Clock(), 0
        for batch in data.epoch(number):
            n += len(batch)
    return clock.speed(n)


def training_speed(
    data: Data, detector: Detector, task: Task, model: str, seconds: float
) -> tuple[float, float]:
    """Speed of training steps, the reading ahead included, after a few steps to warm up."""
    torch.manual_seed(1)
    scaling = {view.name: (Scaling(curve="log1p", offset=0, scale=1),) for view in detector.views}
    settings = MODELS[detector.name][model]
    network = build_network(model, settings, detector.views, 1, task.n_outputs)
    config = TrainConfig(accelerator="cpu")
    preprocessing = Preprocessing(scalings=scaling, targets={})
    symmetries = Augmentation(detector, (task,), pl.DataFrame(), np.arange(0))  # they change no target
    module = TrainingModule(network, (task,), preprocessing, config, symmetries)
    optimizer = torch.optim.AdamW(module.parameters(), fused=True)
    batches = data.endless()
    n, clock = 0, Clock()
    for step, batch in enumerate(batches):
        if step == 3:
            n, clock = 0, Clock()
        optimizer.zero_grad()
        module.training_step(batch, step).backward()
        optimizer.step()
        n += len(batch)
        if step > 3 and clock.cpu() > seconds:
            break
    speed = clock.speed(n)
    batches.close()
    return speed


def main() -> None:
    name, memory, seconds, pool = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
    detector = get_detector(name)
    tasks = {task.name: task for task in detector.tasks}
    task = tasks.get(TASKS[name]) or next(task for task in detector.tasks if task.is_classification)
    keep_freed_memory()
    before = megabytes("VmRSS")
    data = Data(detector, task, memory, pool, [Path(file) for file in sys.argv[5:]])
    found: dict[str, object] = {"n_events": len(data.data), "n_train": len(data.rows), "start": before}
    found["loader"] = loader_speed(data)
    found["peak_loader"] = megabytes("VmHWM")
    for model in MODELS[name]:
        found[model] = training_speed(data, detector, task, model, seconds)
    found["peak"] = megabytes("VmHWM")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
