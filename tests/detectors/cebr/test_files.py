from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hitlens.detector import ReadReport
from hitlens.detectors.cebr import DETECTOR
from hitlens.detectors.cebr.files import LAYOUTS

BY_NAME = {layout.name: layout for layout in LAYOUTS}
FIELDS = {"text": 262, "anodedata": 258, "decaydata": 259, "traces": 211}


def recognised(path: Path) -> list[str]:
    return [layout.name for layout in LAYOUTS if layout.recognises(path)]


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("file", ["a.txt", "a.txt.gz", "a.dat", "a"])
def test_each_layout_is_recognised_by_its_fields(tmp_path: Path, name: str, file: str) -> None:
    content = b"\n" + b" ".join([b"1"] * FIELDS[name]) + b"\n"
    (tmp_path / file).write_bytes(gzip.compress(content) if file.endswith("gz") else content)
    assert recognised(tmp_path / file) == [name]


def test_other_things(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("1 2 3\n")
    assert recognised(tmp_path / "short.txt") == ["text"]
    (tmp_path / "junk.bin").write_bytes(bytes(100))
    assert recognised(tmp_path / "junk.bin") == []
    (tmp_path / "few.dat").write_text("1 2 3\n")
    assert recognised(tmp_path / "few.dat") == []
    assert recognised(tmp_path) == []
    np.save(tmp_path / "images.npy", np.zeros((1, 256)))
    assert recognised(tmp_path) == ["npy"]


def test_every_layout_reads_through_its_hook(tmp_path: Path) -> None:
    heads = {
        "text": [],
        "anodedata": [5, 1],
        "decaydata": [5, 1, 1],
        "traces": [1, 200, 1, 1, 1, 1, 1, 0, 0, 0, 0],
    }
    tails = {"text": [0.5, 3, 4, 0, -100, -100]}
    for name, head in heads.items():
        n = FIELDS[name] - len(head) - len(tails.get(name, []))
        good = " ".join(map(str, [*head, *([3] * n), *tails.get(name, [])]))
        path = tmp_path / f"{name}.txt"
        path.write_text(f"{good}\nx\n")
        report = ReadReport([])
        (events,) = BY_NAME[name].read(path, 10, "skip", report, {})
        assert (len(events), len(report.skipped)) == (1, 1)
        assert events.detector == "cebr"
        with pytest.raises(ValueError, match="line 2"):
            list(BY_NAME[name].read(path, 10, "raise", report, {}))


def test_extra_columns_are_described() -> None:
    assert DETECTOR.unit("amplitude_1") == "ADC counts"
    names = [column.name for column in (*DETECTOR.truth, *DETECTOR.extra_columns)]
    assert len(names) == len(set(names))
    assert {"descriptor", "ddas_energy", "n_pulses"} <= set(names)


def test_naming_the_detector_imports_no_reader() -> None:
    code = (
        "import sys, hitlens.detectors; "
        "print([m for m in ('numba', 'h5py', 'hitlens.io.text') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
