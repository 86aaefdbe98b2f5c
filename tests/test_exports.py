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


def own_names(package: ModuleType) -> set[str]:
    """Public functions and classes that are made in the package or below it and bound in its namespace."""
    below = package.__name__ + "."
    return {
        name
        for name, value in vars(package).items()
        if not name.startswith("_")
        and not isinstance(value, ModuleType)
        and f"{getattr(value, '__module__', '')}.".startswith(below)
    }


def modules_of(package: ModuleType) -> set[str]:
    found = (module.name for module in pkgutil.iter_modules(package.__path__))
    return {name for name in found if not name.startswith("_")}


@pytest.mark.parametrize("name", PACKAGES)
def test_public_names_are_listed_and_there(name: str) -> None:
    """A package lists its functions and classes, or, to stay cheap to import, its modules."""
    package = importlib.import_module(name)
    assert package.__doc__, f"{name} must say what it is"
    listed = list(package.__all__)
    assert listed, f"{name} must export something"
    assert len(set(listed)) == len(listed)
    if set(listed) & modules_of(package):
        assert set(listed) == modules_of(package), f"__all__ of {name} must list its modules"
        for module in listed:
            assert importlib.import_module(f"{name}.{module}").__doc__
    else:
        for public in listed:
            assert getattr(package, public) is not None
    if name != "hitlens.cli":  # its commands are for the command line only
        assert own_names(package) <= set(listed), f"__all__ of {name} must list every public name"


@pytest.mark.parametrize("name", PACKAGES)
def test_unknown_names_are_attribute_errors(name: str) -> None:
    with pytest.raises(AttributeError):
        _ = importlib.import_module(name).no_such_name
