"""The map as text, as DOT and as Mermaid."""

from __future__ import annotations

import re
import shutil

import pytest

from flow import traces
from headgate.flow.text import as_dot, as_mermaid, as_text
from headgate.flow.trace import Trace

CHROMIUM = shutil.which("chromium")


def line_with(text, *words):
    """Return the only line that has all these words."""
    (line,) = (line for line in text.splitlines() if all(word in line for word in words))
    return line


def test_lines_are_indented_by_scope():
    text = as_text(traces.gan())
    assert text.splitlines()[:3] == ["train_step", "  Generator generator", "    Dense dense"]
    assert line_with(text, "◆ generator/dense/kernel").startswith("      ◆")


def test_a_cut_has_scissors_its_place_and_its_source():
    line = line_with(as_text(traces.gan(), width=140), "✂")
    assert line.split() == [
        *("✂", "stop_gradient", "(32,", "32)", "|g|", "0.0014", "gan.py:12"),
        *("fake", "=", "hg.stop_gradient(generator(noise))"),
    ]


def test_norms_belong_to_the_chosen_gradient_call():
    trace = traces.gan()
    assert "|g| 0.5 " in line_with(as_text(trace, gradient=0), "◆ critic/dense/kernel") + " "
    assert "|g|" not in line_with(as_text(trace, gradient=1), "◆ critic/dense/kernel")
    assert "|g| 0 " in line_with(as_text(trace), "◆ scale") + " "


def test_a_loop_is_a_line_for_each_op():
    text = as_text(traces.loop(1000))
    assert len(text.splitlines()) == 6
    assert line_with(text, "sin × 1,000")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_lines_are_not_longer_than_asked_for(width):
    lines = as_text(traces.gan(), width=width).splitlines()
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("draw", [as_text, as_dot, as_mermaid])
def test_what_is_left_out_is_said(draw):
    text = draw(traces.tower(50, 400), most=60)
    assert "19,000 of 19,000 ops are in 50 folded groups" in text
    assert len(text.splitlines()) < 200
    assert "folded groups" not in draw(traces.gan())


@pytest.mark.parametrize("draw", [as_text, as_dot, as_mermaid])
def test_an_empty_trace_is_drawn(draw):
    assert draw(Trace()).strip() != "" or draw is as_text


def test_a_trace_without_gradient_calls_has_no_norms():
    program = traces.Program("plain.py")
    w = program.source("w", (2,))
    x = program.read(w, line=1, text="x = w.read_value()")
    program.op("round", x, line=2, text="y = hg.round(x)", kind="nondiff_op", shape=(2,))
    trace = program.trace
    assert as_text(trace).splitlines() == [
        "◆ w                  (2,)",
        "✂ round: nondiff_op  (2,)  plain.py:2  y = hg.round(x)",
    ]
    for gradient in (-1, 0, 7):  # whichever is asked for, there is none
        assert as_text(trace, gradient=gradient) == as_text(trace)
        assert as_dot(trace, gradient=gradient) == as_dot(trace)
        assert as_mermaid(trace, gradient=gradient) == as_mermaid(trace)


@pytest.mark.parametrize("draw", [as_text, as_dot, as_mermaid])
def test_a_gradient_call_that_does_not_exist_is_refused(draw):
    with pytest.raises(IndexError, match=r"gradient=2, but the trace has 2 gradient calls: give"):
        draw(traces.gan(), gradient=2)


@pytest.mark.parametrize("draw", [as_text, as_dot, as_mermaid])
def test_hostile_text_can_be_printed_and_stays_on_its_line(draw):
    text = draw(traces.hostile())
    text.encode()
    assert not re.search("[\x00-\x09\x0b-\x1f]", text)


def test_dot_colours_gradient_edges_and_shapes_cuts():
    text = as_dot(traces.gan())
    assert "shape=octagon" in line_with(text, 'label="stop_gradient')
    assert text.count("subgraph cluster_") == 8
    assert text.count("style=dotted") == 1  # the clip, whose gradient is zero


def test_mermaid_marks_cuts():
    text = as_mermaid(traces.gan())
    assert line_with(text, "{{", "stop#95;gradient").endswith(":::cut")
    words = [line.split()[0] for line in text.splitlines()]
    assert words.count("subgraph") == words.count("end") == 8


@pytest.fixture(scope="module")
def graphviz(tmp_path_factory):
    """Return a function that draws DOT with the library that the page uses."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on the PATH")
    from headgate.flow import page

    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page()
        blank = tmp_path_factory.mktemp("graphviz") / "blank.html"
        blank.write_text("<!doctype html>", encoding="utf-8")
        tab.goto(blank.as_uri())  # the library asks where it is
        tab.add_script_tag(content=page._asset("viz-global.js"))
        texts = """async dot => {
            const drawn = (await Viz.instance()).renderSVGElement(dot);
            return [...drawn.querySelectorAll("text")].map(text => text.textContent);
        }"""
        yield lambda dot: tab.evaluate(texts, dot)
        browser.close()


@pytest.mark.chromium
def test_graphviz_reads_what_we_write(graphviz):
    texts = graphviz(as_dot(traces.gan()))
    assert "stop_gradient" in texts
    assert "fake = hg.stop_gradient(generator(noise))" in texts
    assert "Generator generator" in texts
    assert graphviz(as_dot(Trace())) == []


@pytest.mark.chromium
def test_graphviz_shows_hostile_text_as_it_is(graphviz):
    start = '</script><img src=x onerror="alert(\'a\')"> \\"]}; {{data}} <!-- ]]> \\N é ✂'
    texts = [text for text in graphviz(as_dot(traces.hostile())) if text.startswith(start)]
    assert len(texts) == 8  # scope, parameter, two ops and their lines, source text, last line
