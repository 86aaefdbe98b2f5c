"""Files -> data report."""

from __future__ import annotations

import numpy as np
import pytest

from hitlens.errors import HitlensError
from hitlens.events import Events
from hitlens.io.native_writer import NativeWriter
from hitlens.workflow.inspection import guess_detector, inspect_files


def write(path, events):
    with NativeWriter(path, events.detector) as writer:
        writer.write(events)
    return path


def test_native_files_are_read_block_by_block(make_cebr, tmp_path):
    one = write(tmp_path / "one.h5", make_cebr(120, seed=1))
    two = write(tmp_path / "two.h5", make_cebr(80, seed=2))
    seen = []
    report = inspect_files([one, two], block_size=50, progress=seen.append)
    assert sum(seen) == report.n_events == 200
    assert len(seen) >= 4
    assert report.sources == (str(one), str(two))
    # Both samples carry the same made-up file name, so that their keys repeat.
    assert report.n_key_copies == 80


def test_page_is_written_on_request(make_cebr, tmp_path):
    path = write(tmp_path / "one.h5", make_cebr(50))
    inspect_files([path], detector="cebr", html=tmp_path / "report.html")
    assert "50 events" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_bad_events_are_listed_on_request(text_of_ten, tmp_path):
    lines = text_of_ten.splitlines()
    lines[3] = lines[3].replace(" ", " x", 1)
    path = tmp_path / "spoilt.txt"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(HitlensError, match="line 4"):
        inspect_files([path], detector="cebr")
    report = inspect_files([path], detector="cebr", on_bad_event="skip")
    assert len(report.skipped) == 1
    assert report.n_events == len(lines) - 1


@pytest.fixture
def text_of_ten(make_cebr):
    """Text of the public layout: 256 pixels and 6 numbers a line."""
    events = make_cebr(10)
    names = ("energy_1_mev", "x_1_px", "y_1_px", "energy_2_mev", "x_2_px", "y_2_px")
    truth = np.nan_to_num(events.truth.select(names).to_numpy(), nan=-100.0)
    pixels = events.images["anode"].reshape(10, -1)
    return "\n".join(
        " ".join([*map(str, row), *(f"{value:.6g}" for value in values)])
        for row, values in zip(pixels.tolist(), truth.tolist(), strict=True)
    )


@pytest.mark.real
def test_real_singles(real_cebr):
    report = inspect_files([real_cebr / "CeBr10.txt"], detector="cebr")
    assert report.n_events == 10
    assert report.balances[0].counts == (10, 0)
    described = report.views[0].orientations[0]
    assert (described.n_agree, described.n_events) == (10, 10)
    assert report.views[0].hot == ()
    assert report.n_image_copies == 0


def test_missing_file_is_named(tmp_path):
    with pytest.raises(HitlensError, match=r"nowhere\.h5"):
        inspect_files([tmp_path / "nowhere.h5"])


def test_empty_native_file_is_reported(make_cebr, tmp_path):
    empty = make_cebr(3).select([])
    path = write(tmp_path / "none.h5", Events(empty.images, empty.truth, "cebr"))
    assert inspect_files([path], detector="cebr").n_events == 0


def test_detector_is_recognised(text_of_ten, make_cebr, tmp_path):
    text, native, other = tmp_path / "ten.txt", tmp_path / "a.h5", tmp_path / "notes.dat"
    text.write_text(text_of_ten)
    write(native, make_cebr(3))
    other.write_bytes(b"\x00\x01junk")
    assert guess_detector([native, text]) == "cebr"
    assert guess_detector([native]) is None
    assert guess_detector([other]) is None
    assert inspect_files([text]).n_events == 10
    with pytest.raises(HitlensError, match=r"notes\.dat"):
        inspect_files([other])
