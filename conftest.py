"""Settings that every test shares, and the markers that skip what is not installed.

Tests are grouped by what they need. A test marked `peers`, `tensorflow` or `torch` compares with
that library and is skipped, with the reason, where it is missing. The environment is set here,
before any test module is imported, because JAX, TensorFlow and matplotlib read it on import.

A test marked `light` compares what programs compute, not how fast, and lets XLA compile them with
less effort, in a third of the time. Others compile as users do.
"""

import functools
import gc
import importlib.util
import os
from collections.abc import Iterator
from typing import Any

import pytest

import light
from needs import lacks_jax

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_ENABLE_X64", "1")  # Headgate's default float is NumPy's
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# Those of tests/strangers are collected only where a command names them: `make test-strangers`.
collect_ignore = [
    "tests/typing/user_program.py",
    "tests/typing/wrong_program.py",
    "tests/strangers",
]
for framework in ("torch", "jax", "tensorflow"):  # no example is there, but an import of it
    if importlib.util.find_spec(framework) is None:
        collect_ignore += [
            f"src/headgate/flow/watch/{framework}",
            f"src/headgate/testing/{framework}.py",
        ]
NEEDS = {"peers": "jax", "tensorflow": "tensorflow", "torch": "torch"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = {mark: lib for mark, lib in NEEDS.items() if importlib.util.find_spec(lib) is None}
    for item in items:
        for mark, library in missing.items():
            if item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=f"{library} is not installed"))
        test = getattr(item, "dtest", None)  # that of a doctest
        if test is not None and lacks_jax("".join(example.source for example in test.examples)):
            item.add_marker(pytest.mark.skip(reason="jax is not installed"))


def pytest_collection_finish() -> None:
    """Spare the collector what lives as long as the session: 11,000 tests and their modules."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _light(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compile the programs of a test that is marked `light` with less effort."""
    if request.node.get_closest_marker("light") is None:
        yield
        return
    import jax

    jit, before = jax.jit, jax.config.read("jax_disable_most_optimizations")
    jax.jit = functools.partial(
        jit, compiler_options=light.options()
    )  # Headgate's programs pass here too
    jax.config.update("jax_disable_most_optimizations", True)  # for what JAX runs op by op
    try:
        yield
    finally:
        jax.jit = jit
        jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(autouse=True)
def _names_in_doctests(doctest_namespace: dict[str, Any]) -> None:
    """Examples in docstrings may say `hg` without importing it."""
    import headgate

    doctest_namespace["hg"] = headgate
