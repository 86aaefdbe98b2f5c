from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hitlens.detectors import read_detector
from hitlens.errors import ConfigError, NotFoundError
from hitlens.settings import explain, load_settings, merged, read_override, read_yaml, text_of_file


class Inner(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    width: float = Field(1.0, gt=0)


class Outer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    inner: Inner = Inner()
    name: str = "a"
    needed: int = 0


def test_file_then_overrides(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("inner: {width: 2}\nname: b")
    assert load_settings(Outer, path, ["inner.width=3"]) == Outer(inner=Inner(width=3), name="b")
    assert load_settings(Outer, None) == Outer()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["inner.widht=1"], "'inner.widht' is not a setting. Did you mean 'width'"),
        (["inne.width=1"], "'inne' is not a setting. Did you mean 'inner'"),
        (["inner.width=-1"], "inner.width: Input should be greater than 0. Got -1"),
        (["needed=x"], "Got 'x'"),
        (["needed"], "key=value"),
    ],
)
def test_wrong_settings_are_named(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_settings(Outer, None, overrides)
    assert message in str(error.value)


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.yaml"):
        load_settings(Outer, tmp_path / "none.yaml")
    for text, message in (("a: [1", "not valid YAML"), ("- 1", "settings by name")):
        with pytest.raises(ConfigError, match=message):
            read_yaml(text, "a.yaml")


def test_values_are_yaml() -> None:
    values = ["1", "1e-3", "true", "[1, 2]", "text", "a: b: c", ""]
    expected = [1, 0.001, True, [1, 2], "text", "a: b: c", None]
    assert [read_override(f"k={value}")[1] for value in values] == expected


def test_merging_leaves_the_input_alone() -> None:
    content = {"a": {"b": 1}}
    assert merged(content, {"a.c": 2, "d.e": 3}) == {"a": {"b": 1, "c": 2}, "d": {"e": 3}}
    assert content == {"a": {"b": 1}}


def test_a_missing_value_is_named() -> None:
    class Needs(BaseModel):
        value: int

    with pytest.raises(ValidationError) as error:
        Needs.model_validate({})
    assert "a.yaml: value: Field required" in str(explain(error.value, Needs, "a.yaml"))


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGED = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 9)}]}}\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (BOMB, "stands for more than 200,000 values"),
        (MERGED, "stands for more than 200,000 values"),
        ("a: &a [*a]", "holds itself"),
        ("a: " + "[" * 60 + "]" * 60, "deeper than 40 levels"),
        ("a: " + "[" * 20_000, "cannot be read as YAML"),
        ("a: " + "x" * (1 << 20), "characters. YAML of at most"),
        ("a: 2020-13-45", "cannot be read as YAML"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    ],
)
def test_hostile_yaml_is_refused_at_once(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        read_yaml(text, "run.yaml")
    with pytest.raises(ConfigError, match=problem):
        read_detector(text, "detector.yaml")


def test_hostile_values_of_overrides_are_refused() -> None:
    with pytest.raises(ConfigError, match="The value of a: line 1 holds itself"):
        read_override("a=&a [*a]")


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbftitle: a\xc3\xa9",
        "title: a\u00e9".encode("utf-16"),
        "title: a\u00e9\r\n".encode(),
    ],
)
def test_encodings_of_yaml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    assert read_yaml(text_of_file(path), "a.yaml") == {"title": "a\u00e9"}


def test_another_encoding_is_said_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("x: 1\ntitle: a\u00e9b\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"a\.yaml, line 2: this is no UTF-8 text \(byte 0xe9\)"):
        text_of_file(path)


@pytest.mark.parametrize(
    ("text", "line"), [("a: 1\nb: 2\na: 3", 3), ("t:\n  e: 1\n  e: 2", 3), ("t:\n- {x: 1, x: 2}", 2)]
)
def test_a_key_given_twice_is_refused(text: str, line: int) -> None:
    with pytest.raises(ConfigError, match=rf"a\.yaml, line {line}: '.' is given twice"):
        read_yaml(text, "a.yaml")
