"""What the schema says of every key; the reference page is made from it."""

from __future__ import annotations

import inspect

import pytest
from pydantic import BaseModel

from hitlens.detectors.from_yaml import schema


@pytest.mark.parametrize(
    "model",
    [schema.DescribedColumn, schema.ImageSource, schema.FileDescription],
    ids=lambda one: one.__name__,
)
def test_every_key_is_documented(model: type[BaseModel]) -> None:
    text = inspect.getdoc(model) or ""
    assert not [name for name in model.model_fields if f"\n    {name}: " not in text]
