"""The corpus of broken programs says of itself only what is true.

Other tests compare what Headgate says of the programs in `tests/why_cases` with their headers, so
here the headers are checked: each program is run and must print what its header expects, and the
fixed twin must cure every parameter that the broken one names as affected.
"""

from __future__ import annotations

from collections import Counter

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
    statuses,
)

BROKEN, FIXED, CORRECT = named("h*_broken.py"), named("h*_fixed.py"), named("ok*.py")
CLASSICAL = {  # a parameter has no gradient, zero, NaN, or one that it must not have
    "stop_gradient",
    "no_grad_block",
    "nondiff_op",
    "integer_cast",
    "host_round_trip",
    "rewrap",
    "outside_tape",
    "not_watched",
    "variable_replaced",
    "non_leaf",
    "stateful_write",
    "custom_gradient",
    "zero_derivative",
    "mask",
    "nonfinite_value",
    "nonfinite_slope",
    "nonfinite_data",
    "unused_parameter",
    "not_registered",
    "frozen",
    "optimizer_mask",
    "missing_stop",
}
WHOLE_STEP = {  # the gradients look well, and yet a part of the step does nothing or the wrong
    "dead_term",
    "unlisted",
    "born_each_pass",
    "cancelled",
    "zero_factor",
    "not_applied",
    "wrong_variable",
    "zeroed_update",
    "zero_rate",
    "averages_trained",
    "dropped_gate",
    "needless_stop",
    "freeze_too_late",
    "freeze_too_much",
}
KINDS = CLASSICAL | WHOLE_STEP
LIBRARIES = {"headgate", "numpy", "functools"}


@pytest.mark.parametrize("name", [*BROKEN, *FIXED, *CORRECT])
def test_a_program_prints_what_its_header_expects(name):
    assert statuses(name) == expected(name)


@pytest.mark.parametrize("name", [*BROKEN, *FIXED, *CORRECT])
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


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_program_names_a_cut(name):
    fields = header(name)
    assert set(causes(name)) <= KINDS
    assert causes(name)[0] in name
    assert int(fields["line"]) > 0
    assert fields["line"] not in fields["also"].split()
    assert set(fields["affected"].split()) <= statuses(name).keys()
    assert ("args" in fields) == (fields["cause"] == "missing_stop")


@pytest.mark.parametrize("name", BROKEN)
def test_the_fixed_twin_cures_every_affected_parameter_and_no_other(name):
    before, after = statuses(name), statuses(name.replace("_broken", "_fixed"))
    assert before.keys() == after.keys()
    affected = set(header(name)["affected"].split())
    changed = {parameter for parameter in before if before[parameter] != after[parameter]}
    assert affected <= changed
    # What is computed from a wrong value or a NaN is another number too.
    assert {p for p in changed - affected if isinstance(before[p], str)} <= {
        p for p in changed if before[p] == "nan"
    }


@pytest.mark.parametrize("name", [*FIXED, *CORRECT])
def test_a_correct_program_names_no_cut(name):
    fields = header(name)
    assert (fields["cause"], fields["line"], fields["affected"]) == ("none", "0", "-")


def test_the_fixed_twin_is_healthy_unless_gradient_must_not_arrive():
    for name in FIXED:
        unwanted = header(name).get("args") is not None
        good = {"nonzero", "updated", "learns", "frozen"} | ({"None"} if unwanted else set())
        said = {value for value in statuses(name).values() if isinstance(value, str)}
        assert said <= good, name


def test_each_broken_program_has_a_twin_and_each_twin_a_broken_program():
    assert [name.replace("_broken", "_fixed") for name in BROKEN] == FIXED


def test_there_are_enough_programs_of_every_kind():
    kinds = Counter(causes(name)[0] for name in BROKEN)
    assert set(kinds) == KINDS
    assert min(kinds[kind] for kind in CLASSICAL) >= 2
    assert min(kinds[kind] for kind in WHOLE_STEP) >= 3
    assert len(BROKEN) >= 140
    assert len(CORRECT) >= 43


@pytest.mark.parametrize("module", ["headgate", "headgate.tf"])
def test_half_of_the_programs_use_each_set_of_names(module):
    users = [n for n in BROKEN if f"import {module} as " in (CASES / n).read_text()]
    assert 0.4 * len(BROKEN) <= len(users) <= 0.6 * len(BROKEN)


def test_programs_import_nothing_else():
    found = set().union(*(imported(name) for name in (*BROKEN, *FIXED, *CORRECT)))
    assert found == LIBRARIES
