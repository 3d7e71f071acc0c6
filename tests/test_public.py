"""The public surface: every name resolves, is documented and listed."""

from __future__ import annotations

import inspect
from importlib.metadata import version
from pathlib import Path

import pytest

import mlcore


@pytest.mark.parametrize("name", mlcore.__all__)
def test_a_public_name_resolves_is_listed_and_documented(name: str) -> None:
    found = getattr(mlcore, name)
    assert name in dir(mlcore)
    assert inspect.getdoc(found)


@pytest.mark.parametrize("name", ["Bundle", "DriftReport", "Profile", "Scorer", "Snapshot"])
def test_public_methods_are_documented(name: str) -> None:
    kind = getattr(mlcore, name)
    bare = [
        each
        for each, member in inspect.getmembers(kind)
        if each[0] != "_"
        and (inspect.isfunction(member) or isinstance(member, property))
        and not inspect.getdoc(member)
    ]
    assert not bare


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'mlcore' has no attribute 'nothing'"):
        _ = mlcore.nothing


def test_the_version_is_the_packages_own() -> None:
    assert mlcore.__version__ == version("mlcore")


def test_types_are_shipped() -> None:
    assert (Path(mlcore.__file__).parent / "py.typed").exists()
