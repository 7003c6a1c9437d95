"""The page works in a real browser, from a file, without a network."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from flow import traces
from headgate.flow.fold import edges, fold, opened
from headgate.flow.page import notebook, page
from headgate.flow.solve import solve
from headgate.flow.trace import Gradient, Trace

CHROMIUM = shutil.which("chromium")

FINDING = {
    "parameter": "generator/out/bias",
    "verdict": "cut",
    "kind": "stop_gradient",
    "file": "gan.py",
    "line": 12,
    "text": "fake = hg.stop_gradient(generator(noise))",
    "cure": "stop only what goes to d_loss",
}


def size(html):
    return len(html.encode())


# What needs no browser.


@pytest.mark.parametrize(
    ("program", "sizes"),
    [
        (traces.loop, [5000]),
        (traces.tower, [50, 400]),
        (traces.flat, [20_000]),
        (traces.gan, [400]),
    ],
    ids=["loop", "tower", "flat", "steps"],
)
def test_20_000_ops_stay_under_10_megabytes(program, sizes):
    trace = program(*sizes)
    assert len(trace.events) >= 17_000
    assert size(page(trace)) < 10_000_000


def test_page_names_no_address():
    html = page(traces.gan())
    ours = re.sub(r'<script type="text/plain".*?</script>', "", html, flags=re.DOTALL)
    addresses = set(re.findall(r"https?://[^\s\"'<>)]+", ours))
    # Names of namespaces, and where svg-pan-zoom comes from; none of them is opened.
    assert {address.split("/")[2] for address in addresses} <= {"www.w3.org", "github.com"}


def test_texts_are_stored_once():
    html = page(traces.loop(5000))
    assert html.count("x = x + rate * sin(x)") == 1


def test_hostile_text_ends_no_script():
    html = page(traces.hostile(), title=traces.HOSTILE, findings=[{"cure": traces.HOSTILE}])
    assert html.count("</script>") == 3  # data, layout, program
    assert "<img" not in html
    html.encode()  # halves of surrogate pairs would fail here


def test_norms_that_are_not_finite_are_kept():
    trace = traces.gan()
    trace.gradients[0].norms = (float("nan"), float("inf"), 1.0, None)
    data = re.search(r'id="data">(.*?)</script>', page(trace), re.DOTALL)
    assert json.loads(data[1])["gradients"][0]["norms"] == ["nan", "inf", 1.0, None]


# Folding.


def test_a_loop_is_one_node_for_each_op():
    folded = fold(traces.loop(1000))
    counts = {node.name: len(node.members) for node in folded.nodes}
    assert counts == {"rate": 1000, "sin": 1000, "multiply": 1000, "add": 1000, "x": 1}


def test_no_group_has_more_children_than_can_be_looked_at():
    folded = fold(traces.flat(5000))
    assert max(len(group.children) for group in folded.groups) <= 40
    assert sum(not child.is_group for group in folded.groups for child in group.children) == 5002


def test_runs_are_called_by_their_first_and_last_line():
    folded = fold(traces.flat(1000))
    labels = [group.label for group in folded.groups[1:]]
    assert labels[:2] == ["w … flat.py:38", "flat.py:39 … 77"]


@pytest.mark.parametrize("most", [1, 10, 100, 1000])
def test_not_more_than_asked_for_is_opened(most):
    folded = fold(traces.tower(4, 100))
    openings = opened(folded, most)
    shown = sum(
        not child.is_group or child.number not in openings
        for number in openings
        for child in folded.groups[number].children
    )
    assert shown <= max(most, len(folded.groups[0].children))


def test_an_edge_of_a_folded_group_stands_for_those_inside():
    trace = traces.gan()
    folded = fold(trace)
    (step,) = (n for n, group in enumerate(folded.groups) if group.label == "train_step")
    found = edges(trace, folded, {0}, trace.gradients[0])
    targets = [f"n{number}" for number in folded.of_gradient]
    assert set(found) == {(f"g{step}", target) for target in targets}
    assert found[f"g{step}", targets[0]].carries
    assert found[f"g{step}", targets[0]].norm == 1.0
    assert not found[f"g{step}", targets[1]].carries


def helper(steps=2):
    """Return two models trained through one helper, and an evaluation on the lines of training.

    The truth: `a` and `b` get their gradient; the stop on line 3 keeps none from anybody, `c` is
    cut by the one on line 8. Nothing depends on what the evaluation computes on line 3 as well.
    """
    program = traces.Program("helper.py")
    a, b = program.source("left/a", (2,)), program.source("right/b", (2,))
    c = program.source("right/c", (2,))
    inside = ("forward",)

    def forward(source):
        x = program.read(source, 3, inside)
        stopped = program.op("stop_gradient", x, line=3, scope=inside, kind="stop_gradient")
        return program.op("multiply", x, stopped, line=3, scope=inside, text="x * stop(x)")

    for step in range(steps):
        value = program.trace.sources[a].value
        seen = program.op("read", value, line=4, scope=inside, kind="outside_tape")
        program.op("sum", seen, line=4, scope=inside)
        forward(a)  # to look at only
        for source, asked in ((a, [a]), (b, [b, c])):
            loss = forward(source)
            if source == b:
                cut = program.read(c, 8)
                cut = program.op("stop_gradient", cut, line=8, kind="stop_gradient", text="stop(c)")
                loss = program.op("add", loss, cut, line=9)
            norms = [1.0] if source == a else [1.0, None]
            program.gradient("loss", loss, asked, norms, 5, "tape.gradient(loss, vs)", step=step)
    return program.trace


CUT_C = {
    "parameter": "right/c",
    "verdict": "cut",
    "kind": "stop_gradient",
    "file": "helper.py",
    "line": 8,
    "text": "stop(c)",
    "cure": "take it away",
}


def test_two_losses_through_one_helper_stay_two():
    folded = fold(helper())
    called = [node.name for node in folded.nodes if node.what == "target"]
    assert called == ["loss by left/a", "loss by right/*"]
    products = [node for node in folded.nodes if node.name == "multiply"]
    assert [(len(node.members), node.leads) for node in products] == [
        (2, False),
        (2, True),
        (2, True),
    ]


def test_one_loss_of_variables_made_anew_is_one():
    program = traces.Program("anew.py")
    for step in range(20):
        source = program.source("fast", (2,))
        loss = program.op("sum", program.read(source, 2), line=2)
        program.gradient("loss", loss, [source], [1.0], 3, step=step)
    folded = fold(program.trace)
    assert len({*folded.of_gradient}) == 1


def test_many_losses_on_one_line_are_few_nodes():
    program = traces.Program("many.py")
    for step in range(50):
        source = program.source(f"w{step}", (2,))
        loss = program.op("sum", program.read(source, 2), line=2)
        program.gradient("loss", loss, [source], [1.0], 3, step=step)
    folded = fold(program.trace)
    assert len({*folded.of_gradient}) == 6
    assert sum(node.name == "sum" for node in folded.nodes) == 6
    assert len(folded.of_gradient) == 50


# In the browser.


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on the PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def show(browser, tmp_path):
    """Return a function that opens a trace's page; what it did wrong is checked at the end."""
    wrong, opened_pages = [], []

    def show(trace, scheme="light", size=(1400, 900), **options):
        file = tmp_path / "map.html"
        file.write_text(page(trace, **options), encoding="utf-8")
        width, height = size
        tab = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": height})
        opened_pages.append(tab)
        tab.set_default_timeout(15_000)
        tab.on("console", lambda message: wrong.append(message.text))
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((file.as_uri(), "blob:"))
                else wrong.append(request.url)
            ),
        )
        tab.goto(file.as_uri())
        tab.wait_for_selector("body[data-drawn]")
        return tab

    yield show
    for tab in opened_pages:
        tab.screenshot(path=tmp_path / "map.png")
        tab.close()
    assert wrong == []


def drawn(tab, act):
    """Do something that changes the layout, and wait for the new picture."""
    before = tab.get_attribute("body", "data-drawn")
    act()
    tab.wait_for_function("before => document.body.dataset.drawn !== before", arg=before)


def names(tab, selector):
    """Return what parts of the picture are called: the bold line of each label."""
    return sorted(
        tab.eval_on_selector_all(
            f"#canvas {selector}",
            "parts => parts.map(part => part.querySelector('text').textContent)",
        )
    )


chromium = pytest.mark.chromium


@chromium
def test_50_ops_are_shown_fully(show):
    tab = show(traces.gan())
    assert tab.locator("#canvas g.node.group").count() == 0
    assert tab.locator("#canvas g.cluster").count() == 8
    assert tab.locator("#canvas g.node").count() == len(fold(traces.gan()).nodes)
    assert names(tab, "g.cut") == ["stop_gradient"]
    assert "gan.py:12" in tab.text_content("#canvas g.cut")


@chromium
def test_a_cut_parameter_lights_up_its_path(show):
    tab = show(traces.gan())
    tab.select_option("#parameter", label="generator/out/bias")
    assert tab.text_content("#verdict") == (
        "No gradient of g_loss reaches generator/out/bias: it is cut at stop_gradient, gan.py:12."
    )
    assert names(tab, "g.node.gate") == ["stop_gradient"]
    assert names(tab, "g.parameter.on") == ["generator/out/bias"]
    ops = "add relu matmul add relu matmul add relu negative softplus mean add"  # in order
    assert names(tab, "g.op.on") == sorted(ops.split())
    (cut,) = tab.locator("#cuts .jump").all_text_contents()
    assert cut.startswith("stop_gradient gan.py:12")
    assert "fake = hg.stop_gradient(generator(noise))" in cut
    # No gradient anywhere on this path, but for the last step to the loss itself.
    assert tab.locator("#canvas g.edge.on.carries").count() == 1


@chromium
def test_a_connected_parameter_shows_the_gradient_on_its_path(show):
    tab = show(traces.gan())
    tab.select_option("#loss", label="d_loss — gan.py:33")
    tab.select_option("#parameter", label="critic/out/kernel")
    assert tab.text_content("#verdict") == (
        "Gradient of d_loss reaches critic/out/kernel (norm 0.5)."
    )
    assert tab.get_attribute("#verdict", "class") == "connected"
    assert tab.locator("#cuts li").count() == 0
    assert names(tab, "g.gate") == []
    assert tab.locator("#canvas g.edge.on").count() == tab.locator("#canvas g.edge.carries").count()
    assert names(tab, "g.target.on") == ["gradient of"]
    sizes = tab.eval_on_selector_all(
        "#canvas g.edge.carries", "edges => edges.map(edge => Number(edge.dataset.norm))"
    )
    assert min(sizes) > 0
    assert max(sizes) == 1.0


@chromium
def test_a_zero_gradient_says_where_it_becomes_zero(show):
    tab = show(traces.gan())
    tab.select_option("#parameter", label="scale")
    assert tab.text_content("#verdict") == (
        "Gradient of g_loss reaches scale, but it is exactly zero: it becomes zero at clip, "
        "gan.py:30, where 0 of 1 element let gradient through."
    )
    assert tab.locator("#canvas g.edge.on.zero").count() == 1
    assert tab.locator("#canvas g.edge.on.carries").count() == 2


@chromium
def test_an_unused_parameter_says_so(show):
    tab = show(traces.gan())
    tab.select_option("#parameter", label="temperature")
    assert tab.text_content("#verdict") == "g_loss was computed without temperature."
    assert tab.locator("#canvas g.edge.on").count() == 1  # from the loss to the call
    groups = tab.eval_on_selector_all("#parameter optgroup", "all => all.map(each => each.label)")
    assert groups == ["Cut (4)", "Exactly zero (1)", "Never used (1)", "Gets gradient (4)"]


@chromium
def test_a_parameter_that_was_not_asked_for_says_so(show):
    tab = show(traces.gan())
    tab.select_option("#parameter", label="critic/out/bias (not asked for)")
    assert tab.text_content("#verdict").endswith("This call did not ask for it.")


ASK = """([call, source]) => {
    const flow = flow_of(call), path = path_of(flow, source);
    const shown = [...path.on_node.keys()].filter(node => path.on_node[node]);
    return [flow.verdicts[source], path.cuts, shown, path.zero_at];
}"""


@chromium
@pytest.mark.parametrize(
    "trace",
    [traces.gan(2), traces.tower(4, 40), *(traces.scrambled(seed) for seed in range(10))],
    ids=["gan", "tower", *(f"scrambled{seed}" for seed in range(10))],
)
def test_the_page_and_the_solver_agree(show, trace):
    tab = show(trace)
    folded = fold(trace)
    for flow in solve(trace):
        verdict, cuts, nodes, zero_at = tab.evaluate(ASK, [flow.gradient, flow.source])
        ends = {folded.of_source[flow.source], folded.of_gradient[flow.gradient]}
        assert verdict == flow.verdict
        assert tuple(cuts) == flow.cuts
        assert set(nodes) == {folded.of_event[event] for event in flow.path} | ends
        assert flow.zero_at in (None, zero_at)


@chromium
def test_a_click_unfolds_a_group_and_its_title_folds_it(show):
    tab = show(traces.tower(50, 400))
    group = tab.locator("#canvas g[aria-label^='group Block block_26,']")
    assert group.get_attribute("aria-expanded") == "false"
    drawn(tab, group.click)
    assert group.get_attribute("aria-expanded") == "true"
    assert tab.locator("#canvas g.node.group:has-text('layer_')").count() == 20
    drawn(tab, group.locator("> text").click)
    assert group.get_attribute("aria-expanded") == "false"
    assert tab.locator("#canvas g.node.group:has-text('layer_')").count() == 0


@chromium
def test_20_000_ops_open_folded_and_the_path_unfolds(show):
    tab = show(traces.tower(50, 400))
    assert tab.locator("#canvas g.node").count() <= 61
    assert (
        tab.text_content("#verdict")
        == "Gradient of loss reaches 499 of the 1,000 parameters asked for."
    )
    drawn(tab, lambda: tab.select_option("#parameter", label="block_3/layer_4/w"))
    assert names(tab, "g.gate") == ["stop_gradient"]
    assert "block_3/layer_4/w" in names(tab, "g.parameter.on")
    assert tab.locator("#canvas g.node").count() <= 400
    lit = tab.locator("#canvas g.node.group.on").all_text_contents()
    assert any("block_40" in label for label in lit)
    assert not any(label.startswith("+ Block block_0") for label in lit)


@chromium
def test_what_shows_is_bounded_whatever_is_opened(show):
    tab = show(traces.flat(20_000))
    drawn(tab, lambda: tab.click("#unfold-all"))
    assert 300 < tab.locator("#canvas g.node").count() <= 400
    for _ in range(2):
        drawn(tab, lambda: tab.locator("#canvas g.node.group").last.dispatch_event("click"))
        assert tab.locator("#canvas g.node").count() <= 400
    drawn(tab, lambda: tab.click("#fold-all"))
    assert tab.locator("#canvas g.node").count() <= 40


@chromium
def test_steps_of_a_loss_can_be_chosen(show):
    trace = traces.gan(3)
    trace.gradients[2].norms = (7.0, 7.0, 7.0, 7.0)
    tab = show(trace)
    tab.select_option("#loss", label="d_loss × 3 — gan.py:33")
    tab.select_option("#parameter", label="critic/dense/bias")
    assert "(norm 0.25)" in tab.text_content("#verdict")
    tab.fill("#step", "1")
    tab.press("#step", "Tab")
    assert "(norm 7)" in tab.text_content("#verdict")


@chromium
def test_search_finds_ops_parameters_and_lines(show):
    tab = show(traces.tower(50, 400))
    tab.keyboard.press("/")
    tab.keyboard.type("tower.py:99 stop")
    assert tab.text_content("#results li >> nth=0").startswith("stop_gradient")
    drawn(tab, lambda: tab.keyboard.press("Enter"))
    assert names(tab, "g.selected") == ["stop_gradient"]
    assert "stop_gradient" in tab.text_content("#details-title")
    tab.fill("#search", "block_49/layer_19/w")
    drawn(tab, lambda: tab.press("#search", "Enter"))
    assert names(tab, "g.selected") == ["block_49/layer_19/w"]
    tab.fill("#search", "block_7")
    assert "group Block block_7" in tab.text_content("#results li >> nth=0")
    tab.fill("#search", "no such thing")
    assert tab.text_content("#results") == "nothing found"


@chromium
def test_keys(show):
    tab = show(traces.gan())
    tab.keyboard.press("j")
    assert names(tab, "g.selected") == ["stop_gradient"]
    drawn(tab, lambda: tab.keyboard.press("f"))
    assert tab.locator("#canvas g.node.group.selected:has-text('train_step')").count() == 1
    drawn(tab, lambda: tab.keyboard.press("f"))
    assert tab.locator("#canvas g.cluster.selected").count() == 1
    zoom = "() => svgPanZoom(document.querySelector('#canvas svg')).getZoom()"
    start = tab.evaluate(zoom)
    tab.keyboard.press("+")
    assert tab.evaluate(zoom) > start
    tab.keyboard.press("-")
    tab.keyboard.press("-")
    assert tab.evaluate(zoom) < start
    tab.keyboard.press("0")
    assert tab.evaluate(zoom) == pytest.approx(1)
    tab.keyboard.press("?")
    assert tab.locator("#help[open]").count() == 1
    tab.keyboard.press("Escape")
    assert tab.locator("#help[open]").count() == 0
    tab.select_option("#parameter", label="scale")
    tab.locator("#parameter").blur()
    tab.keyboard.press("Escape")
    assert tab.locator("#canvas svg.chosen").count() == 0
    assert tab.locator("#canvas g.selected").count() == 0


@chromium
def test_the_picture_can_be_used_without_a_mouse(show):
    tab = show(traces.tower(50, 400))
    group = tab.locator("#canvas g[aria-label^='group Block block_3,']")
    assert group.get_attribute("role") == "button"
    assert group.get_attribute("aria-expanded") == "false"
    assert group.get_attribute("aria-label") == "group Block block_3, 380 ops, 20 parameters"
    group.focus()
    drawn(tab, lambda: tab.keyboard.press("Enter"))
    assert tab.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"


@chromium
def test_every_control_has_a_name(show):
    tab = show(traces.gan(2), findings=[FINDING])
    nameless = tab.eval_on_selector_all(
        "button, select, input",
        """all => all.filter(each => !(each.textContent.trim() && each.tagName === "BUTTON")
            && !each.ariaLabel && !each.labels?.length).map(each => each.outerHTML)""",
    )
    assert nameless == []


@chromium
def test_single_executions_are_listed(show):
    tab = show(traces.loop(1000))
    tab.click("#canvas g.op:has-text('sin')")
    assert "1,000 executions" in tab.text_content("#details")
    assert tab.locator("#details tr").count() == 51
    assert "and 950 more" in tab.text_content("#details")


@chromium
def test_a_finding_leads_to_its_cut(show):
    tab = show(traces.gan(), findings=[FINDING])
    assert "stop only what goes to d_loss" in tab.text_content("#findings")
    assert tab.input_value("#parameter") != ""  # the first finding is chosen from the start
    tab.keyboard.press("Escape")
    tab.click("#findings .jump")
    assert names(tab, "g.selected") == ["stop_gradient"]
    assert "generator/out/bias" in tab.text_content("#verdict")


IN_SIGHT = """selector => {
    const frame = document.querySelector("#canvas").getBoundingClientRect();
    return [...document.querySelectorAll("#canvas " + selector)].map(part => {
        const box = part.getBoundingClientRect();
        return box.left >= frame.left && box.right <= frame.right && box.top >= frame.top
            && box.bottom <= frame.bottom;
    });
}"""


def in_sight(tab, selector):
    """Wait until all such parts are within the window; fail if they do not come there."""
    tab.wait_for_function(f"selector => ({IN_SIGHT})(selector).every(Boolean)", arg=selector)
    assert tab.evaluate(IN_SIGHT, selector) != []


@chromium
@pytest.mark.parametrize("size", [(1400, 900), (1280, 800), (480, 900)])
def test_the_map_opens_on_the_first_finding(show, size):
    tab = show(helper(), size=size, findings=[CUT_C])
    assert tab.text_content("#loss option:checked").startswith("loss by right/*")
    assert tab.text_content("#parameter option:checked") == "right/c"
    assert names(tab, "g.node.blamed") == ["stop_gradient"]
    assert names(tab, "g.parameter.on") == ["right/c"]
    assert tab.locator("#findings [aria-current=true]").count() == 1
    assert tab.get_attribute("#canvas g.node.blamed", "aria-label") == (
        "cut, stop_gradient, stop_gradient, helper.py:8, of a finding"
    )
    in_sight(tab, "g.node.on")


@chromium
@pytest.mark.parametrize("size", [(1400, 900), (480, 900)])
def test_a_long_path_shows_alone_and_its_gate_is_in_sight(show, size):
    finding = FINDING | {"parameter": "block_3/layer_4/w", "file": "tower.py", "line": 99}
    tab = show(traces.tower(50, 400), size=size, findings=[finding])
    tab.wait_for_function("() => document.querySelector('#only').checked")
    tab.wait_for_function("() => !document.querySelector('#canvas g.node:not(.on)')")
    assert names(tab, "g.node.blamed") == ["stop_gradient"]
    assert tab.locator("#canvas g.node:not(.on)").count() == 0
    in_sight(tab, "g.node.blamed")
    drawn(tab, lambda: tab.uncheck("#only"))
    assert tab.locator("#canvas g.node:not(.on)").count() > 0
    tab.locator("#only").blur()
    drawn(tab, lambda: tab.keyboard.press("o"))
    assert tab.locator("#canvas g.node:not(.on)").count() == 0
    drawn(tab, lambda: tab.keyboard.press("Escape"))
    assert not tab.locator("#only").is_visible()
    assert tab.locator("#canvas svg.chosen").count() == 0


@chromium
def test_gates_are_loud_only_where_they_matter(show):
    tab = show(helper(), findings=[CUT_C])
    assert names(tab, "g.cut:not(.quiet)") == ["stop_gradient"]
    assert names(tab, "g.cut.quiet") == ["stop_gradient"] * 2
    assert "outside_tape" not in tab.text_content("#canvas")
    tab = show(helper(), findings=[])  # somebody looked, and found nothing
    assert names(tab, "g.cut:not(.quiet)") == []
    tab = show(helper())  # nobody looked
    assert names(tab, "g.cut:not(.quiet)") == ["stop_gradient"]


@chromium
def test_what_leads_to_no_loss_is_left_out_until_asked_for(show):
    tab = show(helper(), findings=[])
    assert names(tab, "g.op") == ["add", "multiply", "multiply"]
    assert tab.text_content("#aside-words") == "Show what leads to no loss (4)"
    drawn(tab, lambda: tab.check("#aside"))
    assert names(tab, "g.op") == ["add", *["multiply"] * 3, "sum"]
    drawn(tab, lambda: tab.uncheck("#aside"))
    tab.fill("#search", "sum")  # it can be found all the same
    drawn(tab, lambda: tab.press("#search", "Enter"))
    assert names(tab, "g.selected") == ["sum"]
    assert not show(traces.gan()).locator("#aside-label").is_visible()


@chromium
def test_a_finding_is_a_click_or_a_key_away(show):
    none = CUT_C | {"parameter": "nobody's", "line": 5, "kind": "unused_parameter"}
    tab = show(helper(), findings=[CUT_C, CUT_C | {"parameter": "left/a", "line": 3}, none])
    current = "#findings [aria-current=true]"
    tab.click("#findings li:nth-child(2) .jump")
    assert tab.text_content("#parameter option:checked") == "left/a"
    assert "left/a" in tab.text_content(current)
    assert names(tab, "g.selected") == ["stop_gradient"]
    tab.keyboard.press("n")
    assert "nobody's" in tab.text_content(current)
    assert tab.input_value("#parameter") == ""
    tab.keyboard.press("n")
    assert tab.text_content("#parameter option:checked") == "right/c"
    tab.keyboard.press("p")
    assert "nobody's" in tab.text_content(current)
    tab.keyboard.press("Escape")
    assert tab.locator(current).count() == 0


@chromium
def test_a_finding_tells_who_called_which_term_and_when(show):
    caller = {"file": "helper.py", "line": 77, "function": "main", "text": "step(b)"}
    finding = CUT_C | {
        "called_from": [caller],
        "term": {"file": "helper.py", "line": 9, "function": "", "text": "loss + stop(c)"},
        "when": "from step 1 of 2",
    }
    entry = show(helper(), findings=[finding]).text_content("#findings .jump")
    assert "the value passes a stop, from step 1 of 2" in entry
    assert "called from main, helper.py:77" in entry
    assert "in the term at helper.py:9: loss + stop(c)" in entry


@chromium
def test_files_are_shown_by_as_much_as_tells_them_apart(show):
    program = traces.Program("/far/away/one/train.py")
    source = program.source("w")
    x = program.op("exp", program.read(source, 1), line=1)
    program.file = "/far/away/two/train.py"
    x = program.op("log", x, line=2)
    program.file = "/far/away/other.py"
    program.gradient("x", x, [source], [1.0], 3)
    tab = show(program.trace)
    assert tab.text_content("#loss option") == "x — other.py:3"
    tab.click("#canvas g.op:has-text('log')")
    assert "/far/away/two/train.py:2" in tab.text_content("#details")
    assert tab.locator("#canvas g.op:has-text('log')").get_attribute("aria-label") == (
        "op, log, two/train.py:2"
    )


@chromium
def test_findings_that_differ_in_the_parameter_share_one_entry(show):
    names = ("generator/out/bias", "generator/out/kernel", "generator/dense/bias")
    tab = show(traces.gan(), findings=[FINDING | {"parameter": name} for name in names])
    (entry,) = tab.locator("#findings .jump").all_text_contents()
    assert entry.startswith("stop_gradient generator/out/bias and 2 more")


def distances():
    """Return the trace of a root of zero, on one line with others, in a file of a long name."""
    program = traces.Program("distances_of_points_to_the_nearest_of_some_others.py")
    codes, scale = program.source("codes", (3, 2)), program.source("scale")
    line = "loss = hg.mean(hg.sqrt(squares)) * scale"
    read = program.read(codes, 1)
    squares = program.op("square", read, line=2, shape=(3, 2))
    roots = program.op("sqrt", squares, line=3, text=line, shape=(3, 2))
    mean = program.op("mean", roots, line=3)
    loss = program.op("multiply", mean, program.read(scale, 3), line=3)
    trace = program.trace
    nan = float("nan")
    norms = {squares: nan, read: nan, trace.sources[codes].value: nan}
    norms |= {roots: 0.5, mean: 1.0, loss: 1.0}
    call = Gradient(program.place(4), (loss,), ("loss",), (codes, scale), (nan, 2.0), norms)
    trace.gradients.append(call)
    finding = {
        "parameter": "codes",
        "verdict": "not finite",
        "kind": "nonfinite_slope",
        "file": str(Path.cwd() / program.file),
        "line": 3,
        "text": line,
        "label": "sqrt",
        "cure": "put an epsilon inside",
    }
    return trace, finding


@chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_gradient_that_is_not_finite_shows_where_it_was_born(show, scheme):
    trace, finding = distances()
    tab = show(trace, scheme, findings=[finding])
    said = tab.text_content("#verdict")
    assert said.startswith("The gradient of loss by codes is not finite (norm NaN): the first such")
    assert "sqrt, distances_of_points_to_the_nearest_of_some_others.py:3" in said
    assert names(tab, "g.born") == ["sqrt"]
    assert tab.locator("#canvas g.edge.broken").count() == 2
    assert "NaN or infinite" in tab.text_content("#legend")
    entry = tab.text_content("#findings .jump")
    assert entry.startswith("nonfinite_slope codesan infinite slope at the values heredistances_of")
    tab.click("#findings .jump")
    assert names(tab, "g.selected") == ["sqrt"]
    assert tab.locator("#parameter optgroup").first.get_attribute("label") == "Not finite (1)"
    tab.select_option("#parameter", "")
    assert "reaches 2 of the 2 parameters asked for; 1 of them not finite" in tab.text_content(
        "#verdict"
    )
    assert tab.locator("#canvas g.born").count() == 0


@chromium
def test_a_finite_gradient_says_nothing_of_others(show):
    tab = show(traces.gan())
    assert "NaN" not in tab.text_content("#legend")
    assert tab.locator("#canvas g.edge.broken").count() == 0


@chromium
def test_labels_stay_in_their_boxes_and_end_with_the_line(show):
    tab = show(distances()[0])
    outside = tab.eval_on_selector_all(
        "#canvas g.node",
        """all => all.filter(node => {
            const box = node.querySelector("path, polygon, ellipse").getBoundingClientRect();
            return [...node.querySelectorAll("text")].some(line => {
                const { left, right } = line.getBoundingClientRect();
                return left < box.left || right > box.right;
            });
        }).map(node => node.textContent)""",
    )
    assert outside == []
    shown = tab.text_content("#canvas g.op:has-text('sqrt')")
    assert re.search(r"distances_of_p\w*….py:3\s+\[3, 2\]", shown), shown


@chromium
def test_the_page_may_not_connect_or_run_what_is_put_into_it(browser, tmp_path):
    file = tmp_path / "map.html"
    file.write_text(page(traces.gan()), encoding="utf-8")
    tab = browser.new_page()
    tab.goto(file.as_uri())
    tab.wait_for_selector("body[data-drawn]")
    refused = """async () => {
        const blocked = [];
        addEventListener("securitypolicyviolation", e => blocked.push(e.effectiveDirective));
        await fetch("http://127.0.0.1:9/").catch(() => null);
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        document.body.append(script);
        document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.ran = true'>");
        await new Promise(resolve => setTimeout(resolve, 200));
        return [window.ran ?? false, [...new Set(blocked)].sort()];
    }"""
    ran, blocked = tab.evaluate(refused)
    assert not ran
    assert {"connect-src", "img-src", "script-src-elem"} <= set(blocked)
    tab.close()


@chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(show, scheme):
    tab = show(traces.gan(), scheme)

    def brightness():
        colour = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in re.findall(r"\d+", colour)[:3]) / 3

    assert (brightness() > 200) == (scheme == "light")
    tab.click("#theme")
    assert (brightness() > 200) == (scheme == "dark")
    tab.click("#theme")
    assert (brightness() > 200) == (scheme == "light")


@chromium
def test_print_leaves_the_controls_out(show):
    tab = show(traces.gan())
    tab.emulate_media(media="print")
    assert not tab.locator("header .buttons").is_visible()
    assert tab.locator("#canvas svg").is_visible()
    assert tab.locator("#verdict").is_visible()


@chromium
def test_hostile_text_is_only_text(show):
    finding = dict.fromkeys(FINDING, traces.HOSTILE) | {"line": 3}
    tab = show(traces.hostile(), title=traces.HOSTILE, findings=[finding])
    assert tab.locator("img").count() == 0
    assert "</script><img src=x" in tab.text_content("#canvas g.cut")
    tab.select_option("#parameter", index=1)
    assert "</script><img" in tab.text_content("#verdict")
    tab.click("#findings .jump")
    tab.fill("#search", "script")
    assert tab.locator("img").count() == 0


@chromium
def test_a_trace_of_nothing_opens(show):
    tab = show(Trace())
    assert tab.text_content("#verdict") == "No gradient was asked for in this trace."
    assert tab.locator("#loss").is_disabled()


@chromium
def test_notebook_frame_is_sandboxed_and_draws(browser, tmp_path):
    file = tmp_path / "notebook.html"
    file.write_text(f"<!doctype html>{notebook(page(traces.hostile()))}", encoding="utf-8")
    tab = browser.new_page()
    tab.goto(file.as_uri())
    frame = tab.frame_locator("iframe")
    frame.locator("body[data-drawn]").wait_for()
    assert frame.locator("#canvas g.cut").count() == 1
    assert tab.locator("img").count() == 0
    assert tab.get_attribute("iframe", "sandbox") == "allow-scripts"
    tab.close()
