"""A watcher of a framework that does not exist: it writes a trace, and has all the rest of that."""

import json

import pytest

from flow.traces import Program
from headgate.flow.judge import Told
from headgate.flow.report import as_json
from headgate.flow.trace import Death, Place
from headgate.flow.watcher import Watcher


class Abacus(Watcher):
    """Sees one step of training: `w` is cut, `v` gets a gradient, `dead` zeros, `idle` nothing."""

    framework = "abacus"

    def __init__(self):
        program = self.program = Program("abacus.py")
        self.w, self.v, self.dead, self.idle = (
            program.source(name, (3,)) for name in ("w", "v", "dead", "idle")
        )

    def __enter__(self):
        program = self.program
        read = {s: program.read(s, 2) for s in (self.w, self.v, self.dead)}
        text = "h = detach(w)"
        h = program.op("detach", read[self.w], line=3, text=text, kind="stop_gradient")
        r = program.op("relu", read[self.dead], line=4, text="r = relu(dead)")
        loss = program.op("sum", h, read[self.v], r, line=5)
        norms = [None, 1.0, 0.0, None]
        asked = [self.w, self.v, self.dead, self.idle]
        program.gradient("loss", loss, asked, norms, 6, "loss.backward()", {read[self.v]: 1.0})
        relu = next(n for n, event in enumerate(program.trace.events) if event.op == "relu")
        program.trace.gradients[-1].deaths[relu, 0] = Death(0, 3)
        return self

    def __exit__(self, *exception):
        pass

    @property
    def trace(self):
        return self.program.trace

    def told(self):
        yield Told("hidden", "connected", "not_registered", Place("abacus.py", 1))


@pytest.fixture
def watch():
    with Abacus() as entered:
        return entered


def found(watch, **options):
    return [(f.parameter, f.verdict, f.kind, f.line) for f in watch.findings(**options)]


def test_findings_come_of_the_trace(watch):
    assert found(watch) == [
        ("w", "cut", "stop_gradient", 3),
        ("hidden", "connected", "not_registered", 1),
        ("dead", "zero", "zero_derivative", 4),
        ("idle", "unused", "unused_parameter", 6),
    ]
    assert watch.findings()[0].text == "h = detach(w)"


def test_what_is_declared_is_no_finding_and_a_leak_is_one(watch):
    assert found(watch, no_flow=["w", "hidden", "dead*", "idle"]) == [
        ("dead", "connected", "missing_stop", 4)
    ]
    assert found(watch, no_flow=["v"])[0] == ("v", "connected", "missing_stop", 5)


def test_the_report_comes_of_the_trace(watch):
    report = json.loads(json.dumps(as_json(watch.gradients(), watch.findings())))
    (call,) = report["gradients"]
    assert (call["where"], call["framework"], call["targets"]) == (
        "abacus.py:6",
        "abacus",
        ["loss"],
    )
    assert [(source["name"], source["verdict"]) for source in call["sources"]] == [
        ("w", "cut"),
        ("v", "connected"),
        ("dead", "zero"),
        ("idle", "unused"),
    ]
    assert [cut["line"] for cut in call["sources"][0]["cuts"]] == [3]


def test_drawings_come_of_the_trace(watch):
    assert "detach" in watch.text()
    assert "detach" in watch.mermaid()
    assert "detach" in watch.dot()
    assert "detach" in watch.html()
    assert "detach" in watch._repr_html_()


def test_a_gradient_in_one_pass_is_enough(watch):
    program = watch.program
    loss = program.op("sum", program.read(watch.w, 12), line=13)
    program.gradient("loss", loss, [watch.w], [1.0], 14)
    assert "w" not in {parameter for parameter, *_ in found(watch)}


def test_a_factor_that_is_zero_and_learns_is_waited_for():
    program = Program("lora.py")
    watch = Abacus()
    watch.program = program
    a, b = program.source("a"), program.source("b")
    of_a, of_b = program.read(a, 1), program.read(b, 1)
    loss = program.op("multiply", of_a, of_b, line=2)
    program.gradient("loss", loss, [a, b], [0.0, 2.0], 3)
    program.trace.gradients[-1].deaths[2, 0] = Death(0, 1, "zero_derivative", of_b)
    assert [parameter for parameter, *_ in found(watch)] == ["hidden"]
