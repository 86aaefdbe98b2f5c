"""Each package lists its public names, and they are what can be imported from it."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

import pytest

import hitlens

PACKAGES = [
    "hitlens",
    *(module.name for module in pkgutil.walk_packages(hitlens.__path__, "hitlens.") if module.ispkg),
]


def public_names(module: ModuleType) -> set[str]:
    """Names bound in the package itself: no modules, nothing private, no future import."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name != "annotations"
    }


@pytest.mark.parametrize("name", PACKAGES)
def test_public_names_are_listed_and_there(name: str) -> None:
    package = importlib.import_module(name)
    assert package.__doc__, f"{name} must say what it is"
    listed = list(package.__all__)
    assert listed == sorted(listed), f"__all__ of {name} must be sorted"
    assert len(set(listed)) == len(listed)
    for public in listed:
        assert getattr(package, public) is not None
    assert public_names(package) <= set(listed), f"__all__ of {name} must list every public name"


@pytest.mark.parametrize("name", PACKAGES)
def test_unknown_names_are_attribute_errors(name: str) -> None:
    with pytest.raises(AttributeError):
        _ = importlib.import_module(name).no_such_name
