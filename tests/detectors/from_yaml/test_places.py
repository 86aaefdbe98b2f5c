"""Keys of a YAML text and the lines they stand on."""

from __future__ import annotations

import pytest

from hitlens.detectors.from_yaml.places import Places
from hitlens.errors import ConfigError

TEXT = """\
name: strips
views:
  - name: x
    shape: [8, 4]
  - {name: y, shape: [8, 4]}
  - shape: [1]
base: &base
  a: 1
merged:
  <<: *base
  b: 2
"""


@pytest.mark.parametrize(
    ("place", "where"),
    [
        ((), "strips.yaml"),
        (("name",), "strips.yaml, line 1: name"),
        (("views", 0, "shape"), "strips.yaml, line 4: views[x].shape"),
        (("views", 1, "shape", 1), "strips.yaml, line 5: views[y].shape[1]"),
        (("views", 2, "shape"), "strips.yaml, line 6: views[2].shape"),
        (("views", 0, "unit"), "strips.yaml, line 3: views[x].unit"),
        (("merged", "a"), "strips.yaml, line 8: merged.a"),
    ],
)
def test_a_place_has_a_line(place: tuple[str | int, ...], where: str) -> None:
    assert Places(TEXT, "strips.yaml").where(place) == where


def test_a_key_given_twice_is_found_at_any_depth() -> None:
    with pytest.raises(ConfigError, match="line 6: 'shape' is given twice"):
        Places(TEXT.replace("  - shape: [1]", "  - {shape: [1], shape: [2]}"), "strips.yaml")


def test_a_key_beside_what_is_merged_is_not_given_twice() -> None:
    places = Places("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n", "a.yaml")
    assert places.content["b"] == {"x": 3, "y": 2}
    with pytest.raises(ConfigError, match="line 2: 'x' is given twice"):
        Places("a: &a {x: 1}\nb: {<<: *a, x: 3, x: 4}\n", "a.yaml")
