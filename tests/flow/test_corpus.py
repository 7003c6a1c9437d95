"""The watcher and the solver on the corpus of broken programs (`tests/why_cases`).

Each program runs once, watched. No correct program may give a finding. Of the broken ones, the
share whose true line and kind are named is scored over all. The solver sees only the neutral trace,
and must come to what the program itself got from each of its gradient calls.
"""

import contextlib
import functools
import io

import pytest

from flow.corpus import causes, header, lines_named, options, run
from flow.test_corpus_truth import BROKEN, CORRECT, FIXED
from headgate.flow.judge import facts_of
from headgate.flow.solve import solve
from headgate.flow.watch.headgate import Watch

PENDING = ("h129", "h130", "h131", "h132", "h140")
"""Programs whose defect is not found yet, or is called something else."""
SPREADING = ("h109",)
"""A NaN that an update carries into another variable is told there too, so far."""
FOUND = [name for name in BROKEN if not name.startswith(PENDING)]
WAITING = [name for name in BROKEN if name.startswith(PENDING)]


@functools.cache
def watched(name):
    """Run a program under a watcher, once."""
    with contextlib.redirect_stdout(io.StringIO()), Watch() as watch:
        run(name)
    return watch


@functools.cache
def findings(name):
    """Return what is found in a program, with the options that its header gives."""
    return watched(name).findings(no_flow=options(name, "--no-flow"))


@pytest.mark.parametrize("name", [*FIXED, *CORRECT])
def test_a_correct_program_gives_no_finding(name):
    assert findings(name) == []


def hit(name, share):
    """Tell which of a broken program's findings are right about its line, or about its kind."""
    fields = header(name)
    if share == "line":
        return any(found.line in lines_named(fields) for found in findings(name))
    return any(found.kind in causes(name) for found in findings(name))


@pytest.mark.parametrize(("share", "least"), [("line", 0.95), ("kind", 0.9)])
def test_the_true_line_and_kind_are_found(share, least):
    missed = {
        name: [(found.parameter, found.kind, found.line) for found in findings(name)]
        for name in FOUND
        if not hit(name, share)
    }
    assert len(missed) <= (1 - least) * len(FOUND), missed


@pytest.mark.xfail(reason="not found yet", strict=True)
@pytest.mark.parametrize("name", WAITING)
def test_what_is_wrong_with_the_step_is_found(name):
    assert hit(name, "line")
    assert hit(name, "kind")


@pytest.mark.parametrize(
    "name", [name for name in FOUND if "_nonfinite_" in name and not name.startswith(SPREADING)]
)
def test_the_line_is_named_where_a_nan_is_born(name):
    fields = header(name)
    assert {found.line for found in findings(name)} == {int(fields["line"])}
    assert {found.kind for found in findings(name)} == {fields["cause"]}
    assert [found.parameter for found in findings(name)] == fields["affected"].split()


@pytest.mark.parametrize("name", [name for name in BROKEN if "since" in header(name)])
def test_what_breaks_later_is_found_with_the_step(name):
    since = header(name)["since"]
    assert all(f"from step {since} " in found.when for found in findings(name))
    assert findings(name)


def layer_and_weight(name):
    """Return the end of a path: the headers do not name the models around a layer."""
    return "/".join(name.split("/")[-2:])


def test_findings_name_the_parameters_that_are_affected_and_no_others():
    wrong = {
        name: (sorted(named), affected)
        for name in FOUND
        if (named := {layer_and_weight(found.parameter) for found in findings(name)})
        != (affected := set(header(name)["affected"].split()))
    }
    assert len(wrong) <= 0.05 * len(FOUND), wrong


def solved(name):
    """Yield each flow that the solver found, what really came of it, and what the masks said."""
    watch = watched(name)
    trace = watch.trace
    looked_at = {(call.place.file, call.place.line, call.step): call for call in watch.calls}
    for flow in solve(trace):
        gradient = trace.gradients[flow.gradient]
        place = trace.places[gradient.place]
        position = gradient.sources.index(flow.source)
        call = looked_at.get((place.file, place.line, gradient.step))
        outcome = None if call is None else list(call.outcomes.values())[position]
        yield flow, trace, gradient.norms[position], outcome


PROGRAMS = [*BROKEN, *FIXED, *CORRECT]


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_solver_knows_what_the_gradient_call_returned(name):
    for flow, trace, size, _ in solved(name):
        expected = {"cut", "unused"} if size is None else {"connected" if size else "zero"}
        assert flow.verdict in expected, trace.sources[flow.source]


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_solver_agrees_with_the_masks(name):
    for flow, trace, _, outcome in solved(name):
        if outcome is None:  # a later pass of a line, which the watcher did not look at closely
            continue
        verdict = outcome
        if verdict.verdict == "not watched":  # a trace knows no tapes, only what gradient came to
            assert flow.verdict in ("cut", "unused"), str(verdict)
            continue
        if flow.verdict in ("cut", "unused"):
            assert flow.verdict == verdict.verdict, str(verdict)
        if flow.verdict == "cut" and verdict.cuts:
            first = trace.place_of(trace.events[flow.cuts[0]])
            assert (first.file, first.line) in {
                (cut.place.file, cut.place.line) for cut in verdict.cuts
            }


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_neutral_way_finds_what_the_masks_find(name, monkeypatch):
    by_masks = findings(name)
    monkeypatch.setattr(Watch, "facts", lambda watch: facts_of(watch.trace))
    neutral = watched(name).findings(no_flow=options(name, "--no-flow"))
    assert set(map(brief, neutral)) == set(map(brief, by_masks))


def brief(finding):
    return finding.parameter, finding.kind, finding.file, finding.line, finding.label


def test_the_corpus_makes_the_solver_say_everything_that_it_can():
    said = {flow.verdict for name in PROGRAMS for flow, *_ in solved(name)}
    assert said == {"connected", "zero", "cut", "unused"}
