"""Every public name is documented, and every example in the documentation runs."""

import doctest
import importlib
import inspect
import types

import pytest

import headgate as hg
from headgate.core.namespace import TENSORS


def public():
    """Return everything that `headgate` exports, by the name under which a user finds it."""
    found = {}
    for name in hg.__all__:
        value = getattr(hg, name)
        found[f"headgate.{name}"] = value
        if isinstance(value, types.ModuleType):
            for inner in getattr(value, "__all__", []):
                found[f"headgate.{name}.{inner}"] = getattr(value, inner)
    for name, value in vars(TENSORS).items():
        if value not in found.values():
            found[f"xp.{name}"] = value
    return {name: value for name, value in found.items() if callable(value)}


PUBLIC = public()


def examples(value, name):
    """Yield the docstrings with examples of a module or a public thing, of its methods too."""
    for test in doctest.DocTestFinder().find(value, name, globs={}):
        if test.examples:
            yield test.docstring


def test_every_example_is_run():
    """pytest runs the examples that it finds in the modules, so each public one must be there."""
    modules = {value.__module__ for value in PUBLIC.values()}
    run = {text for name in modules for text in examples(importlib.import_module(name), name)}
    public = {
        (name, text)
        for name, value in PUBLIC.items()
        if value.__doc__ or inspect.isclass(value)
        for text in examples(value, name)
    }
    assert len(public) > 250
    assert [name for name, text in public if text not in run] == []


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring(name):
    text = inspect.getdoc(PUBLIC[name])
    assert text, f"{name} has no docstring"
    assert text.splitlines()[0].endswith("."), f"{name}: the first line is no sentence"


def test_all_is_complete_and_sorted_by_meaning_only_once():
    assert len(set(hg.__all__)) == len(hg.__all__)
    assert [name for name in hg.__all__ if not hasattr(hg, name)] == []
