"""The corpus of broken JAX programs (`tests/why_cases/in_jax`): its truth, and what is found.

As for PyTorch's programs (`test_torch_corpus.py`): each program prints what its header expects, and
its fixed twin cures what it names as affected. No correct program may give a finding, and of each
broken one line and kind must be right. A program runs once, and watched: that must not change what
it prints.

The programs are those of users: they compute in float32, and import Optax, some Flax or Equinox
too. A program whose library is missing is skipped.
"""

import contextlib
import functools
import importlib.util
import io
import re
import sys

import pytest

from flow.corpus import (
    CASES,
    FIELDS,
    OPTIONAL,
    causes,
    expected,
    header,
    imported,
    lines_named,
    named,
    options,
    run,
    values_of,
)
from headgate.flow.kinds import KINDS

pytestmark = [pytest.mark.peers, pytest.mark.corpus]

BROKEN, FIXED = named("in_jax/j*_broken.py"), named("in_jax/j*_fixed.py")
CORRECT = named("in_jax/okj*.py")
OTHER_CAUSES = {"zero_factor"}  # found as a zero derivative that has the factor as its label
HURT = {"zero", "still", "nan", "moves"}
LIBRARIES = {"jax", "numpy", "optax", "flax", "equinox"}


@pytest.fixture(autouse=True)
def _float32():
    """Compute as users do, not as Headgate's other tests do; and compile with less effort.

    The marker `light` would give options to each `jit`, which JAX takes from the outermost only.
    """
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        with jax.enable_x64(False):
            yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)


def name_of(path):
    """Return the name of a program without its ending, by which tests are called."""
    return path.removeprefix("in_jax/").removesuffix(".py")


def programs(names, failing=()):
    """Run a test for each program; those are expected to fail that are known by their numbers."""
    return pytest.mark.parametrize(
        "name", [pytest.param(n, id=name_of(n), marks=_marks(n, failing)) for n in names]
    )


def _marks(name, failing):
    missing = [lib for lib in LIBRARIES & imported(name) if importlib.util.find_spec(lib) is None]
    skipped = [pytest.mark.skip(reason=f"{library} is not installed") for library in missing]
    known = bool(failing) and name_of(name).startswith(tuple(failing))
    return [*skipped, *[pytest.mark.xfail(reason="not found yet", strict=True)] * known]


def here(names):
    """Return those programs whose libraries are installed."""
    return [name for name in names if not _marks(name, ())]


# -- what the headers say --------------------------------------------------------------------------


def test_a_header_is_complete():
    for name in (*BROKEN, *FIXED, *CORRECT):
        fields = header(name)
        assert fields.keys() >= FIELDS, name
        assert fields.keys() <= FIELDS | OPTIONAL, name
        lines = (CASES / name).read_text().splitlines()
        for number in lines_named(fields):
            assert number > len(fields), f"a line of the header of {name}"
            text = lines[number - 1].strip()
            assert text, name
            assert not text.startswith("#"), name


def test_a_broken_program_names_a_cut():
    for name in BROKEN:
        fields = header(name)
        assert set(causes(name)) <= KINDS.keys() | OTHER_CAUSES, name
        assert causes(name)[0] in name
        assert int(fields["line"]) > 0, name
        assert fields["line"] not in fields["also"].split(), name
        assert set(fields["affected"].split()) <= expected(name).keys(), name


def test_the_fixed_twin_cures_every_affected_parameter_and_no_other():
    for name in BROKEN:
        before, after = expected(name), expected(name.replace("_broken", "_fixed"))
        assert before.keys() == after.keys(), name
        affected = set(header(name)["affected"].split())
        assert affected == {p for p in before if before[p] != after[p]}, name


def test_a_correct_program_names_no_cut():
    for name in (*FIXED, *CORRECT):
        fields = header(name)
        assert (fields["cause"], fields["line"], fields["affected"]) == ("none", "0", "-")
        assert HURT.isdisjoint(expected(name).values()), name


def test_each_broken_program_has_a_twin_and_each_twin_a_broken_program():
    assert [name.replace("_broken", "_fixed") for name in BROKEN] == FIXED


def test_there_are_enough_programs_and_kinds():
    assert len(BROKEN) >= 27
    assert len(CORRECT) >= 15
    assert len({causes(name)[0] for name in BROKEN}) >= 19
    long = [name for name in BROKEN if len((CASES / name).read_text().splitlines()) >= 100]
    assert len(long) >= 5


def test_programs_import_only_the_libraries_and_the_standard_library():
    found = set().union(*(imported(name) for name in (*BROKEN, *FIXED, *CORRECT)))
    assert found - LIBRARIES <= sys.stdlib_module_names


# -- what is found ---------------------------------------------------------------------------------

PENDING = ("j106", "j115", "j119", "j120", "j205")
"""Broken programs whose defect is not found yet, or is called something else."""
LOUD = ("okj06",)
"""Correct programs that are not left in peace yet."""


@functools.cache
def watched(name):
    """Run a program under a watcher, once; return what it prints, and the watcher."""
    from headgate.flow.watch.jax.watch import Watch

    out = io.StringIO()
    with contextlib.redirect_stdout(out), Watch() as watch:
        run(name)
    return values_of(out.getvalue().replace(": ", "=")), watch


@functools.cache
def findings(name):
    """Return what is found in a program, with its header's options."""
    _, watch = watched(name)
    return watch.findings(no_flow=options(name, "--no-flow"), flow=options(name, "--flow"))


@programs([*BROKEN, *FIXED, *CORRECT])
def test_a_program_prints_what_its_header_expects(name):
    printed, _ = watched(name)
    assert printed == expected(name)


@programs([*FIXED, *CORRECT], LOUD)
def test_a_correct_program_gives_no_finding(name):
    assert findings(name) == []


@programs(BROKEN, PENDING)
def test_the_true_line_and_kind_are_found(name):
    right = lines_named(header(name))
    found = [(found.line in right, found.kind in causes(name)) for found in findings(name)]
    assert (True, True) in found, findings(name)


def path_of(name):
    """Return a name in a report as the programs print it: `params['enc']['w']` is `params.enc.w`.

    >>> path_of("state.params['blocks'][0].w")
    'state.params.blocks.0.w'
    """
    return re.sub(r"\[['\"]?([^\]'\"]*)['\"]?\]", r".\1", name)


def test_findings_name_the_parameters_that_are_affected():
    found = [name for name in here(BROKEN) if not name_of(name).startswith(PENDING or "-")]
    missing = {}
    for name in found:
        parameters = [path_of(each.parameter) for each in findings(name)]
        for affected in header(name)["affected"].split():
            # A header may leave out what holds the parameters.
            if not any(f".{each}".endswith(f".{affected}") for each in parameters):
                missing.setdefault(name, []).append(affected)
    assert len(missing) <= 0.05 * len(found), missing
