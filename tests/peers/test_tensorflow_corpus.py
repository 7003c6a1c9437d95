"""The corpus of broken TensorFlow and Keras programs (`tests/why_cases/in_tensorflow`).

As for PyTorch's (`test_torch_corpus.py`): each program prints what its header expects, and its
fixed twin cures what it names as affected. Then each program runs once more, watched: it prints the
same, no correct program may give a finding, and of each broken one line and kind must be right.
"""

import contextlib
import functools
import io
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
    in_short,
    lines_named,
    named,
    options,
    run,
    statuses,
    values_of,
)
from headgate.flow.kinds import KINDS
from headgate.flow.watch.tensorflow.watch import Watch

pytestmark = pytest.mark.tensorflow

FOLDER = "in_tensorflow"
BROKEN, FIXED = named(f"{FOLDER}/k*_broken.py"), named(f"{FOLDER}/k*_fixed.py")
CORRECT = named(f"{FOLDER}/ok*.py")
OTHER_CAUSES = {"zero_factor"}  # found as a zero derivative that has the factor as its label
HURT = {"None", "zero", "still", "nan", "lost", "moves"}
OUTSIDE = {"tensorflow", "keras", "numpy"}  # what programs may import beside the standard library


def name_of(path):
    """Return the name of a program without its ending, by which tests are called."""
    return path.removeprefix(f"{FOLDER}/").removesuffix(".py")


def programs(names):
    return pytest.mark.parametrize("name", names, ids=map(name_of, names))


# -- what the headers say --------------------------------------------------------------------------


@programs([*BROKEN, *FIXED, *CORRECT])
def test_a_program_prints_what_its_header_expects(name):
    assert statuses(name) == expected(name)


@programs([*BROKEN, *FIXED, *CORRECT])
def test_a_header_is_complete(name):
    fields = header(name)
    assert fields.keys() >= FIELDS
    assert fields.keys() <= FIELDS | OPTIONAL
    lines = (CASES / name).read_text().splitlines()
    for number in lines_named(fields):
        assert number > len(fields), "a line of the header"
        text = lines[number - 1].strip()
        assert text
        assert not text.startswith("#")


@programs(BROKEN)
def test_a_broken_program_names_a_cut(name):
    fields = header(name)
    assert set(causes(name)) <= KINDS.keys() | OTHER_CAUSES
    assert int(fields["line"]) > 0
    assert fields["line"] not in fields["also"].split()
    if "error" not in expected(name) and "wrong_variable" not in causes(name):
        assert set(fields["affected"].split()) <= expected(name).keys()


@programs(BROKEN)
def test_the_fixed_twin_cures_every_affected_parameter_and_no_other(name):
    before, after = statuses(name), statuses(name.replace("_broken", "_fixed"))
    assert "error" not in after
    if "error" in before:
        return
    assert before.keys() == after.keys()
    affected = set(header(name)["affected"].split())
    changed = {parameter for parameter in before if before[parameter] != after[parameter]}
    if "wrong_variable" not in causes(name):  # what is hurt is what did not get its own
        assert affected <= changed
        # What is computed from a wrong value or a NaN is another number too.
        assert {p for p in changed - affected if isinstance(before[p], str)} <= {
            p for p in changed if before[p] == "nan"
        }
    assert changed


@programs([*FIXED, *CORRECT])
def test_a_correct_program_names_no_cut(name):
    fields = header(name)
    assert (fields["cause"], fields["line"], fields["affected"]) == ("none", "0", "-")


@programs(FIXED)
def test_the_fixed_twin_is_healthy(name):
    assert HURT.isdisjoint(said for said in expected(name).values() if isinstance(said, str))


def test_each_broken_program_has_a_twin_and_each_twin_a_broken_program():
    assert [name.replace("_broken", "_fixed") for name in BROKEN] == FIXED


def test_there_are_enough_programs_and_kinds():
    assert len(BROKEN) >= 39
    assert len({causes(name)[0] for name in BROKEN}) >= 22


def test_programs_import_only_tensorflow_keras_numpy_and_the_standard_library():
    found = set().union(*(imported(name) for name in (*BROKEN, *FIXED, *CORRECT)))
    assert found - OUTSIDE <= sys.stdlib_module_names


# -- what is found ---------------------------------------------------------------------------------

PENDING = ("k116", "k124", "k128", "k129", "k204")
"""Broken programs whose defect is not found yet, or is called something else."""
LOUD = ("k127", "okk13")
"""Correct programs that are not left in peace yet."""


def expecting(names, failing):
    """Run a test for each program, and expect those to fail that are known by their numbers."""
    pending = pytest.mark.xfail(reason="not found yet", strict=True)
    return pytest.mark.parametrize(
        "name",
        [
            pytest.param(
                name, id=name_of(name), marks=[pending] * name_of(name).startswith(failing or "-")
            )
            for name in names
        ],
    )


@functools.cache
def findings(name):
    """Run a program under a watcher, once, and return what is found with its header's options."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), Watch() as watch:
        try:
            run(name)
        except Exception as raised:
            print(f"error: {type(raised).__name__}")
    assert values_of(in_short(out.getvalue())) == expected(name), (
        "another end than without a watcher"
    )
    return watch.findings(no_flow=options(name, "--no-flow"), flow=options(name, "--flow"))


@expecting([*FIXED, *CORRECT], LOUD)
def test_a_correct_program_gives_no_finding(name):
    assert findings(name) == []


@expecting(BROKEN, PENDING)
def test_the_true_line_and_kind_are_found(name):
    right = lines_named(header(name))
    found = [(found.line in right, found.kind in causes(name)) for found in findings(name)]
    assert (True, True) in found, findings(name)


def test_findings_name_the_variables_that_are_affected():
    found = [name for name in BROKEN if not name_of(name).startswith(PENDING)]
    missing = {}
    for name in found:
        variables = [each.parameter.replace("/", ".") for each in findings(name)]
        for affected in header(name)["affected"].split():
            # A header may leave out what holds the model.
            if not any(f".{each}".endswith(f".{affected}") for each in variables):
                missing.setdefault(name, []).append(affected)
    assert len(missing) <= 0.05 * len(found), missing
