"""Every public name is documented, and every example in the documentation runs."""

import doctest
import inspect
import types

import numpy as np
import pytest

import headgate as hg
from headgate.core.namespace import TENSORS
from needs import lacks_jax

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


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


def with_examples():
    """Yield the examples of the public names, of their methods too, each docstring once."""
    finder = doctest.DocTestFinder(recurse=True)
    seen = set()
    for name, value in PUBLIC.items():
        if id(value) in seen or not (value.__doc__ or inspect.isclass(value)):
            continue
        seen.add(id(value))
        for test in finder.find(value, name, module=False, globs={"hg": hg, "np": np}):
            if test.examples:
                yield pytest.param(test, id=test.name)


@pytest.mark.parametrize("test", list(with_examples()))
def test_example(test):
    if lacks_jax("".join(example.source for example in test.examples)):
        pytest.skip("jax is not installed")
    said = []
    results = doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=said.append)
    assert not results.failed, "".join(said)


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring(name):
    text = inspect.getdoc(PUBLIC[name])
    assert text, f"{name} has no docstring"
    assert text.splitlines()[0].endswith("."), f"{name}: the first line is no sentence"


def test_all_is_complete_and_sorted_by_meaning_only_once():
    assert len(set(hg.__all__)) == len(hg.__all__)
    assert [name for name in hg.__all__ if not hasattr(hg, name)] == []
