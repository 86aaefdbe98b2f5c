"""From a YAML text to a `Detector` whose layouts read the files it describes."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from hitlens.detector import Detector, TruthColumn
from hitlens.detectors.from_yaml.checks import check
from hitlens.detectors.from_yaml.layouts import layouts_of
from hitlens.detectors.from_yaml.places import Places
from hitlens.detectors.from_yaml.schema import DetectorDescription
from hitlens.errors import ConfigError, NotFoundError, foreign_errors_as
from hitlens.io.names import expanded, has_ending
from hitlens.settings import text_of_file


def is_description(name: str) -> bool:
    """Whether a detector is named by the path of a YAML file.

    Examples:
        >>> is_description("detectors/strips.yaml"), is_description("strips")
        (True, False)
    """
    return has_ending(Path(name), (".yaml", ".yml"))


def load_detector(path: Path | str) -> Detector:
    """Return the detector that a YAML file describes.

    Args:
        path: the file.

    Raises:
        NotFoundError: there is no such file.
        ConfigError: the description is wrong; says which key, on which line, and what would be right.
    """
    path = expanded(path)
    if not path.is_file():
        raise NotFoundError(
            f"No file '{path}' to describe a detector. Check the name; a relative one starts from the folder "
            "the command runs in."
        )
    return read_detector(text_of_file(path), str(path))


def read_detector(text: str, source: str) -> Detector:
    """Return the detector that a YAML text describes.

    Args:
        text: the YAML; the detector carries it, so that models and runs can.
        source: name of the file, for messages.

    Raises:
        ConfigError: the description is wrong.

    Examples:
        >>> text = '''
        ... name: strips
        ... title: Scintillating strips
        ... views:
        ... - {name: plane, shape: [8, 24], axes: [z, x], pitch_mm: [10, 4], unit: photons}
        ... truth:
        ... - {name: is_muon, meaning: 1 for a muon}
        ... tasks:
        ... - {name: muon, kind: binary, meaning: muon, target: is_muon = 1, class_names: [pion, muon]}
        ... '''
        >>> read_detector(text, "strips.yaml").key
        ('file', 'event')
    """
    with foreign_errors_as(lambda reason: ConfigError(f"{source} cannot describe a detector: {reason}.")):
        return _described(Places(text, source), text)


def _described(places: Places, text: str) -> Detector:
    try:
        description = DetectorDescription.model_validate(places.content)
    except ValidationError as error:
        raise places.explain(error, DetectorDescription) from None
    check(description, places)
    plain = description.model_dump(exclude={"truth", "files"})
    return Detector(
        **plain,
        truth=truth_columns(description),
        layouts=layouts_of(description, places),
        yaml=text,
    )


def truth_columns(description: DetectorDescription) -> tuple[TruthColumn, ...]:
    """Return the described truth columns behind those every event has: its file and its place in it."""
    described = tuple(TruthColumn(**one.model_dump(exclude={"axis"})) for one in description.truth)
    has_key = any(column.role == "key" for column in described)
    added: list[TruthColumn] = []
    if all(column.name != "file" for column in described):
        role = "file" if has_key else "key"
        added.append(TruthColumn(name="file", meaning="name of the file the event came from", role=role))
    if not has_key:
        meaning = "position of the event in that file, from 0"
        added.append(TruthColumn(name="event", meaning=meaning, role="key"))
    return (*added, *described)
