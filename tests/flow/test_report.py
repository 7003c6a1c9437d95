"""Findings as people and programs get to see them."""

import json
import math
import re
from pathlib import Path
from string import Formatter

import pytest

from headgate.flow.kinds import KINDS, cure, what
from headgate.flow.report import Finding, as_entries, as_json, as_text, each, merged, render
from headgate.flow.trace import Place
from headgate.flow.words import torch


def finding(parameter="w", kind="stop_gradient", line=3, **fields):
    known = {"verdict": "cut", "file": "x.py", "text": "h = f(w)", "cure": "Cure."} | fields
    return Finding(parameter, kind=kind, line=line, **known)


def test_every_kind_names_the_parameter_and_advises_in_a_sentence():
    for kind, row in KINDS.items():
        assert [field for _, field, _, _ in Formatter().parse(row.what) if field] == ["names"], kind
        assert row.cure.endswith("."), kind


def test_the_documentation_lists_every_kind_once():
    text = (Path(__file__).parents[2] / "docs" / "explaining.md").read_text()
    table = re.findall(r"^\| (`.+?) \|", text.partition("## Kinds")[2].partition("\n## ")[0], re.M)
    named = [kind for cell in table for kind in re.findall(r"`(\w+)`", cell)]
    assert sorted(named) == sorted(KINDS)


def test_words_of_another_framework():
    assert "torch.stack" in cure("rewrap", framework="torch")
    assert cure("rewrap") == cure("rewrap", framework="jax") == KINDS["rewrap"].cure
    assert cure("rewrap", "Parameter", "torch") != cure("rewrap", "tensor", "torch")
    found = finding(kind="frozen", verdict="connected", framework="torch")
    assert as_text([found]).startswith("1. Not frozen, it trains all the same: w (frozen)")
    assert as_json([], [found]) == as_json([], [finding(kind="frozen", verdict="connected")])


def test_all_words_of_another_framework_are_sentences_about_known_kinds():
    for sayings in (torch.WHAT, torch.CURES):
        assert {kind for kind, _ in sayings} <= set(KINDS)
        assert not re.search(r"\bhg\b|tape|Headgate|trainable|assign", " ".join(sayings.values()))
    for said in torch.WHAT.values():
        assert [field for _, field, _, _ in Formatter().parse(said) if field] == ["names"], said
    assert [text for text in torch.CURES.values() if not text.endswith(".")] == []


@pytest.mark.parametrize("kind", KINDS)
def test_no_word_of_headgate_is_said_to_users_of_pytorch(kind):
    said = f"{what(kind, framework='torch')} {cure(kind, framework='torch')}"
    assert not re.search(r"\bhg\b|tape|Headgate|trainable|assign|variable", said), said


def test_cure_of_an_operation_is_closer_than_that_of_its_kind():
    assert cure("nondiff_op", "argmax") != cure("nondiff_op")
    assert cure("nondiff_op", "no such op") == cure("nondiff_op")


def test_operation_does_not_change_the_cure_of_other_kinds():
    assert cure("stop_gradient", "argmax") == cure("stop_gradient")


def test_unknown_kind_names_the_known_ones():
    known = "no kind of cut 'detach'; use one of missing_stop, nonfinite_value, "
    with pytest.raises(ValueError, match=known):
        cure("detach")


def test_three_lines_for_each_finding():
    text = as_text([finding("w", label="teacher"), finding("b", kind="rewrap", line=5)])
    assert text.splitlines() == [
        "1. No gradient reaches w: the value passes a stop (stop_gradient [teacher])",
        "   x.py:3: h = f(w)",
        "   Cure.",
        "2. No gradient reaches b: the value is copied into a new variable (rewrap)",
        "   x.py:5: h = f(w)",
        "   Cure.",
    ]


def test_finding_without_a_line_says_so():
    assert as_text([finding(file="", line=0, text="")]).splitlines()[1] == "   no line is known"


def test_callers_the_term_and_the_time_are_said_where_they_are_known():
    found = finding(
        called_from=(Place("x.py", 8, "generator_step"), Place("main.py", 20)),
        term=Place("x.py", 9, "loss"),
        when="from step 30 of 60",
    )
    assert as_text([found]).splitlines() == [
        "1. No gradient reaches w: the value passes a stop (stop_gradient, from step 30 of 60)",
        "   x.py:3 (called from generator_step, x.py:8, from main.py:20): h = f(w)",
        "   in the term at x.py:9: ",
        "   Cure.",
    ]


def test_callers_and_the_term_are_objects_for_programs():
    found = finding(called_from=(Place("x.py", 8, "step"),), term=Place("x.py", 9, "loss"))
    for entry in (as_json([], [found])["findings"][0], as_entries([found])[0]):
        (caller,) = entry["called_from"]
        assert caller == {"file": "x.py", "line": 8, "function": "step", "text": ""}
        assert (entry["term"]["line"], entry["term"]["function"]) == (9, "loss")
        json.dumps(entry)


def test_paths_are_shown_as_asked():
    assert "   X.PY:3: " in render([finding()], shown=str.upper).plain


def test_one_cause_is_one_entry_for_people():
    found = [finding("a", others=("b",)), finding("c", line=4), finding("d"), finding("a")]
    assert [(one.parameter, one.others) for one in merged(found)] == [("a", ("b", "d")), ("c", ())]
    assert as_text(found).startswith("1. No gradient reaches a, b, d: ")


@pytest.mark.parametrize(
    "other",
    [
        finding("b", line=4),
        finding("b", kind="rewrap"),
        finding("b", file="y.py"),
        finding("b", called_from=(Place("x.py", 8, "step"),)),
        finding("b", term=Place("x.py", 9)),
        finding("b", when="from step 30 of 60"),
    ],
    ids=["line", "kind", "file", "called_from", "term", "when"],
)
def test_other_causes_stay_apart(other):
    assert merged([finding("a"), other]) == [finding("a"), other]


def test_many_parameters_are_counted():
    names = [f"w{k}" for k in range(9)]
    text = as_text([finding(name) for name in names])
    assert text.startswith("1. No gradient reaches w0, w1, w2, w3, w4 and 4 more: ")


def test_control_characters_do_not_reach_the_terminal():
    text = as_text([finding("w\x1b[31m", text="a\rb\x07", label="\n")])
    assert len(text.splitlines()) == 3
    assert not set("\x1b\r\x07") & set(text)


def test_json_has_one_entry_per_parameter_and_the_agreed_fields():
    report = as_json([], [finding("a", others=("b",)), finding("c", line=4)])
    assert report["version"] == 1
    assert [(entry["parameter"], entry["line"]) for entry in report["findings"]] == [
        ("a", 3),
        ("b", 3),
        ("c", 4),
    ]
    fields = ["parameter", "verdict", "kind", "file", "line", "text", "cure"]
    fields += ["called_from", "term", "when"]
    assert all(list(entry) == fields for entry in report["findings"])


def test_json_is_strict():
    sources = [{"name": "w", "norm": norm} for norm in (1.5, math.inf, -math.inf, math.nan, None)]
    report = as_json([{"targets": ("loss",), "sources": sources}], [])
    again = json.loads(json.dumps(report, allow_nan=False))
    assert again["gradients"][0]["targets"] == ["loss"]
    norms = [source["norm"] for source in again["gradients"][0]["sources"]]
    assert norms == [1.5, "inf", "-inf", "nan", None]


def test_each_leaves_nothing_out():
    assert [one.parameter for one in each([finding("a", others=("b", "c"))])] == ["a", "b", "c"]
