"""Losses of PyTorch are asked why from Python, and tests assert the flow of them.

What a question answers is the same as what `headgate why` prints of a script; nothing of the
program is changed by it.
"""

from __future__ import annotations

import html
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import headgate
from headgate.testing import assert_flow, assert_no_flow, flow_matrix
from headgate.testing.flow import FlowError

torch = pytest.importorskip("torch", reason="torch is not installed")
pytestmark = pytest.mark.torch
nn = torch.nn


class Net(nn.Module):
    def __init__(self, stops=True):
        super().__init__()
        self.encoder = nn.Linear(3, 4)
        self.head = nn.Linear(4, 1)
        self.stops = stops

    def forward(self, x):
        h = self.encoder(x).tanh()
        if self.stops:
            h = h.detach()  # cut
        return self.head(h)


@pytest.fixture
def x():
    torch.manual_seed(0)
    return torch.randn(8, 3)


def kinds(account):
    return {finding.parameter: finding.kind for finding in account.findings()}


def failure(check, *args, **options):
    with pytest.raises(FlowError) as caught:
        check(*args, **options)
    return str(caught.value)


LINES = Path(__file__).read_text(encoding="utf-8").splitlines()
LINE = next(number for number, text in enumerate(LINES, 1) if text.endswith("# cut"))
CUT = {"encoder.weight": "stop_gradient", "encoder.bias": "stop_gradient"}


# -- headgate.why.torch ---------------------------------------------------------------------------


def test_within_a_watched_block_the_line_is_known(x):
    model = Net()
    with headgate.why.watching():
        loss = model(x).sum()
        answer = headgate.why.torch(loss, model)
    assert kinds(answer) == CUT
    assert {finding.line for finding in answer.findings()} == {LINE}
    assert "reaches 2 of 4 parameters" in str(answer)
    assert "h = h.detach()" in str(answer)
    assert all(parameter.grad is None for parameter in model.parameters())
    loss.backward()  # the graph is still there


def test_from_the_graph_alone_it_says_what_is_connected_and_no_more(x):
    model = Net()
    answer = headgate.why.torch(model(x).sum(), model)
    assert kinds(answer) == dict.fromkeys(CUT, "unreached")
    assert [outcome.verdict for outcome in answer.outcomes] == [
        *("no gradient", "no gradient", "connected", "connected")
    ]
    assert "read from its graph alone" in str(answer)
    assert "headgate.why.watching()" in answer.findings()[0].cure


def test_a_function_that_computes_the_loss_is_watched(x):
    model = Net()
    assert kinds(headgate.why.torch(lambda: model(x).sum(), model)) == CUT


def test_after_the_block_what_was_seen_is_still_known(x):
    model = Net()
    with headgate.why.watching() as watch:
        loss = model(x).sum()
    assert kinds(headgate.why.torch(loss, model)) == CUT
    assert watch.trace.gradients == []


def test_sound_programs_have_no_findings(x):
    model = Net(stops=False)
    assert kinds(headgate.why.torch(model(x).sum(), model)) == {}
    assert kinds(headgate.why.torch(lambda: model(x).sum(), model)) == {}


@pytest.mark.parametrize(
    "sources",
    [
        lambda model: model,
        lambda model: model.parameters(),
        lambda model: list(model.named_parameters()),
        lambda model: {"model": model},
        lambda model: torch.optim.SGD(model.parameters()),
        lambda model: "*",
        lambda model: [model.encoder, "head.*"],
    ],
    ids=["module", "parameters", "pairs", "dictionary", "optimizer", "pattern", "mixed"],
)
def test_sources_come_in_many_forms(x, sources):
    model = Net()
    answer = headgate.why.torch(lambda: model(x).sum(), sources(model))
    assert len(answer.outcomes) == 4
    assert kinds(answer) == CUT


def test_frozen_parameters_are_named_and_not_found_fault_with(x):
    model = Net()
    model.encoder.requires_grad_(False)
    answer = headgate.why.torch(model(x).sum(), model)
    assert kinds(answer) == {}
    assert answer.frozen == ["encoder.weight", "encoder.bias"]
    assert "requires_grad is False: encoder.weight, encoder.bias." in str(answer)
    asked = headgate.why.torch(model(x).sum(), model.encoder.weight)
    assert set(kinds(asked).values()) == {"frozen"}


def test_zeros_and_nan_are_seen_in_the_graph_alone():
    w, v = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.ones(3))
    answer = headgate.why.torch((w - 1).relu().sum() + v.sum(), [w, v])
    assert kinds(answer) == {"w": "zero_derivative"}
    assert answer.findings()[0].label == "relu"
    assert kinds(headgate.why.torch(w.sqrt().sum(), w)) == {"w": "nonfinite_slope"}


def test_a_freed_graph_is_told_of(x):
    model = Net()
    loss = model(x).sum()
    loss.backward()
    answer = headgate.why.torch(loss, model)
    assert kinds(answer) == dict.fromkeys(CUT, "unreached")
    assert "freed" in str(answer)
    assert [outcome.norm for outcome in answer.outcomes] == [None] * 4
    with headgate.why.watching():
        loss = model(x).sum()
        loss.backward()
        answer = headgate.why.torch(loss, model)
    assert kinds(answer) == CUT
    assert answer.remarks() == []
    assert all(outcome.norm > 0 for outcome in answer.outcomes[2:])  # as backward brought them


def test_a_question_leaves_no_trace_in_the_watch(x):
    model, other = Net(stops=False), Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    reports = []
    for asks in (False, True):
        with headgate.why.watching() as watch:
            for _ in range(4):
                optimizer.zero_grad()
                loss = model(x).pow(2).mean()
                if asks:
                    headgate.why.torch(loss, [model, other])
                loss.backward()
                optimizer.step()
        reports.append((str(watch), [source.name for source in watch.trace.sources]))
    assert reports[0] == reports[1]


def test_a_question_leaves_no_trace_in_the_graph(x):
    model = Net()
    loss = model(x).sum()
    headgate.why.torch(loss, model)
    assert dict(loss.grad_fn.metadata) == {}


def test_what_a_reentrant_checkpoint_hides_is_not_found_fault_with(x):
    from torch.utils.checkpoint import checkpoint

    layer, x = nn.Linear(3, 1), x.requires_grad_()
    answer = headgate.why.torch(checkpoint(layer, x, use_reentrant=True).sum(), layer)
    assert kinds(answer) == {}
    assert "use_reentrant=True" in str(answer)
    with headgate.why.watching():
        loss = checkpoint(layer, x, use_reentrant=True).sum()
        assert kinds(headgate.why.torch(loss, layer)) == {}


def test_a_parameter_that_the_module_does_not_list(x):
    class Lists(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Linear(3, 3)]
            self.head = nn.Linear(3, 1)

        def forward(self, x):
            return self.head(self.layers[0](x))

    model = Lists()
    found = kinds(headgate.why.torch(lambda: model(x).sum(), model))
    assert found == dict.fromkeys(["layers.0.weight", "layers.0.bias"], "not_registered")


@pytest.mark.parametrize(
    ("target", "sources", "error", "words"),
    [
        (1.0, nn.Linear(1, 1), TypeError, "no tensor of PyTorch"),
        (lambda: 1.0, nn.Linear(1, 1), TypeError, "what the target returns is float"),
        (torch.ones(()), None, TypeError, "neither a tensor nor a module"),
        (torch.ones(()), nn.ReLU(), ValueError, "no parameters in it"),
        (torch.ones(()), "nothing.*", ValueError, "no parameter is called 'nothing.*'"),
    ],
)
def test_what_cannot_be_asked_is_refused(target, sources, error, words):
    with pytest.raises(error, match=words.replace("*", r"\*")):
        headgate.why.torch(target, sources)


def test_an_answer_is_json_and_a_page_as_that_of_headgate(x):
    model = Net()
    answer = headgate.why.torch(lambda: model(x).sum(), model)
    report = json.loads(json.dumps(answer.json()))
    assert {entry["parameter"]: entry["kind"] for entry in report["findings"]} == CUT
    assert report["gradients"][0]["framework"] == "torch"
    assert answer.html().startswith("<!doctype html>")
    assert html.escape(answer.html()) in answer._repr_html_()
    assert "detach: stop_gradient" in answer.text()
    assert "Linear encoder" in answer.text()


# -- headgate.why.watching ------------------------------------------------------------------------


def test_a_block_is_watched_whatever_was_made_before(x):
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with headgate.why.watching() as watch:
        for _ in range(3):
            optimizer.zero_grad()
            model(x).sum().backward()
            optimizer.step()
    assert kinds(watch) == CUT
    assert str(watch).startswith("1 finding; 3 gradient calls looked at.")
    assert "detach" in watch._repr_html_()


def test_a_watch_may_lie_in_another_one(x):
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step():
        optimizer.zero_grad()
        model(x).sum().backward()
        optimizer.step()

    with headgate.why.watching() as outer:
        with headgate.why.watching() as inner:
            step()
        step()
    assert kinds(outer) == kinds(inner) == CUT
    assert (outer.coverage(), inner.coverage()) == ((2, 2), (1, 1))
    assert torch.overrides._get_current_function_mode() is None


def test_a_tensor_that_is_taken_twice_is_no_cut():
    w = nn.Parameter(torch.ones(3))
    with headgate.why.watching() as watch:
        (w * 2).mul(w * 2).sum().backward()
        h = w * 2
        torch.mul(h, h).sum().backward()
    assert [event.kind for event in watch.trace.events] == [""] * len(watch.trace.events)


def test_headgate_imports_no_torch():
    program = """
        import sys
        import headgate
        from headgate.testing import assert_flow
        with headgate.why.watching() as watch:
            pass
        print(watch)
        assert "torch" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)


# -- assertions -----------------------------------------------------------------------------------


def test_assert_flow_says_what_cuts_where_and_what_to_do(x):
    model = Net()
    assert_flow(model(x).sum(), model.head)
    text = failure(assert_flow, lambda: model(x).sum(), model).splitlines()
    assert text[0] == "gradient does not reach 2 of 4 sources"
    assert text[1] == "encoder.weight, encoder.bias: cut"
    assert f"test_torch_api.py:{LINE}: h = h.detach()" in text[2]
    assert text[3].startswith("  ")  # the cure
    assert text[4] == "reached: head.weight, head.bias"


def test_assert_flow_without_a_watch_says_how_to_learn_more(x):
    model = Net()
    text = failure(assert_flow, model(x).sum(), model)
    assert "encoder.weight, encoder.bias: no gradient (unreached)" in text
    assert "headgate.why.watching()" in text


def test_a_gradient_of_zeros_counts_only_if_it_is_allowed(x):
    layer = nn.Linear(3, 1)
    loss = (layer(x) - 100).relu().sum()
    assert "connected; exactly zero: the derivative is zero" in failure(assert_flow, loss, layer)
    assert_flow(loss, layer, nonzero=False)


def test_assert_no_flow_says_where_gradient_enters(x):
    model = Net()
    assert_no_flow(model(x).sum(), model.encoder)
    with headgate.why.watching():
        text = failure(assert_no_flow, model(x).sum(), model)
    assert "gradient reaches 2 of 4 sources that it must not reach" in text
    assert "enters at" in text
    assert "self.head(h)" in text
    assert "call .detach() on the value there" in text
    assert "not reached: encoder.weight, encoder.bias" in text


def test_the_report_tells_of_every_parameter(x):
    model = Net()
    with pytest.raises(FlowError) as caught:
        assert_flow(lambda: model(x).sum(), model)
    assert "head.weight: connected; gradient norm" in caught.value.report
    assert "encoder.bias: cut" in caught.value.report


def test_names_stand_for_parameters(x):
    model = Net()
    assert_flow(lambda: model(x).sum(), "head.*")
    assert_no_flow(lambda: model(x).sum(), ["encoder.weight", "encoder.bias"])


def test_flow_matrix_of_two_losses(x):
    model = Net()
    other = nn.Linear(3, 1)
    with headgate.why.watching():
        losses = {"one": model(x).sum(), "two": (model(x) + other(x)).pow(2).sum()}
        matrix = flow_matrix(losses, {"model": model, "head": model.head, "other": other})
    assert str(matrix.cell("one", "other")) == "unused"
    assert f"test_torch_api.py:{LINE}" in str(matrix.cell("two", "model"))
    assert matrix.norm("two", "other") > 0
    loss = losses["one"]
    loss.backward()
    weight, bias = model.head.weight.grad, model.head.bias.grad
    assert matrix.norm("one", "head") == pytest.approx(
        float(torch.hypot(weight.norm(), bias.norm())), rel=1e-5
    )


def test_losses_of_headgate_are_checked_as_before():
    w = headgate.Variable(2.0, name="w")
    with headgate.GradientTape():
        loss = headgate.stop_gradient(w) * 3.0
    assert "w: cut" in failure(assert_flow, loss, w)
    with pytest.raises(TypeError, match="no tensor"):
        assert_flow(1.0, w)


def test_a_failed_assertion_has_a_section_in_the_report_of_pytest(pytester_free_folder):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=pytester_free_folder,
        capture_output=True,
        text=True,
    )
    assert "gradient flow" in done.stdout
    assert "encoder.weight: cut" in done.stdout


@pytest.fixture
def pytester_free_folder(tmp_path):
    (tmp_path / "test_it.py").write_text(
        textwrap.dedent(
            """
            import torch
            from headgate.testing import assert_flow

            def test_it():
                encoder, head = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
                assert_flow(lambda: head(encoder(torch.ones(2)).detach()).sum(), [encoder, head])
            """
        )
    )
    return tmp_path
