"""Flow assertions fail where gradient is not as expected, say why, and leave the tape as it was."""

import html
import pickle
import re

import numpy as np
import pytest
from rich.console import Console

import headgate as hg
from core.support import line_of
from headgate import nn
from headgate.testing import assert_flow, assert_no_flow, flow_matrix
from headgate.testing.flow import FlowError


@pytest.fixture
def w():
    return hg.Variable([1.0, 2.0], name="w")


@pytest.fixture
def v():
    return hg.Variable([3.0, 4.0], name="v")


def failure(check, *args, **options):
    with pytest.raises(FlowError) as caught:
        check(*args, **options)
    return str(caught.value)


# -- assert_flow ----------------------------------------------------------------------------------


def test_flow_to_every_source_passes(w, v):
    with hg.GradientTape() as tape:
        y = hg.sum(w * v)
    assert_flow(y, [w, {"v": v}])
    np.testing.assert_array_equal(tape.gradient(y, w).numpy(), v.numpy())


def test_a_cut_source_is_told_with_its_line_and_the_others_by_name(w, v):
    with hg.GradientTape():
        y = hg.sum(hg.stop_gradient(w) * v)  # cut
    first, *told, last = failure(assert_flow, y, [w, v]).splitlines()
    assert first == "gradient does not reach 1 of 2 sources"
    assert last == "reached: v"
    assert told[0].startswith("w: cut")
    assert f"test_flow.py:{line_of('cut')}: y = hg.sum(hg.stop_gradient(w) * v)" in told[1]


def test_the_report_tells_of_every_source(w, v):
    with hg.GradientTape():
        y = hg.sum(hg.stop_gradient(w) * v)
    with pytest.raises(FlowError) as caught:
        assert_flow(y, [w, v])
    assert "w: cut" in caught.value.report
    assert "v: connected; gradient norm 2.236" in caught.value.report


def test_connection_is_checked_after_the_graph_was_freed(w, v):
    with hg.GradientTape() as tape:
        y = hg.sum(hg.stop_gradient(w) * v)
    tape.gradient(y, v)
    assert_flow(y, v)
    assert "stop_gradient at" in failure(assert_flow, y, w)


def test_works_when_the_tape_itself_is_gone(w, v):
    def loss():
        with hg.GradientTape():
            return hg.sum(hg.relu(w) * hg.stop_gradient(v))

    y = loss()
    assert_flow(y, w)
    assert "stop_gradient at" in failure(assert_flow, y, v)


def test_a_gradient_of_zeros_does_not_count(w):
    with hg.GradientTape() as tape:
        y = hg.sum(hg.relu(w - 5.0))
    assert "w: connected; exactly zero" in failure(assert_flow, y, w)
    assert_flow(y, w, nonzero=False)
    tape.gradient(y, w)
    assert_flow(y, w)  # only connection is known by now


def test_a_gradient_too_small_to_be_squared_counts():
    w = hg.Variable([1.0], name="w")
    with hg.GradientTape():
        y = hg.sum(w * 1e-200)
    assert_flow(y, w)
    assert flow_matrix({"y": y}, {"w": w}).norm("y", "w") == pytest.approx(1e-200)


def test_one_element_that_is_not_zero_is_enough(w):
    with hg.GradientTape():
        y = hg.sum(hg.relu(w - 1.5))
    assert_flow(y, w)


def test_an_unused_source(w, v):
    with hg.GradientTape():
        y = hg.sum(w)
    assert "v: unused" in failure(assert_flow, y, [w, v])


def test_a_frozen_source(w):
    frozen = hg.Variable([1.0, 1.0], trainable=False, name="frozen")
    with hg.GradientTape():
        y = hg.sum(w * frozen)
    assert re.search(r"frozen: cut.*\n  frozen .*at .*test_flow", failure(assert_flow, y, frozen))


def test_a_source_that_was_only_stopped_is_not_taken_for_watched(w):
    frozen = hg.Variable([1.0, 1.0], trainable=False, name="frozen")
    with hg.GradientTape():
        hg.stop_gradient(frozen)
        y = hg.sum(w)
    assert "frozen: not watched" in failure(assert_flow, y, frozen)


def test_a_loss_outside_of_the_tape(w):
    with hg.GradientTape():
        h = w * 2.0
    assert_flow(h, w)
    y = hg.sum(h * 3.0)  # cut
    text = failure(assert_flow, y, w)
    assert "outside_tape" in text
    assert f"test_flow.py:{line_of('cut')}" in text


def test_a_loss_that_came_back_from_the_host(w):
    with hg.GradientTape():
        y = hg.asarray(float(hg.sum(w)))  # cut
    text = failure(assert_flow, y, w)
    assert "host_round_trip" in text
    assert f"test_flow.py:{line_of('cut')}" in text


def test_a_constant_whose_sources_a_tape_knows(w):
    with hg.GradientTape():
        hg.sum(w)
    text = failure(assert_flow, hg.asarray(1.0), w)
    assert "w: unused (unused_parameter); the target was computed without it" in text


def test_constants_that_no_tape_knows(w):
    assert "w: unused (unused_parameter)" in failure(assert_flow, hg.asarray(1.0), w)


def test_a_source_that_no_tape_has_seen(w):
    x = hg.asarray([1.0, 2.0])
    with hg.GradientTape():
        y = hg.sum(w * x)
    text = failure(assert_flow, y, [w, x])
    assert "call tape.watch(x)" in text
    assert "reached: w" in text
    assert_no_flow(y, x)
    assert flow_matrix({"y": y}, {"x": x, "w": w}).norm("y", "x") is None


def test_a_source_of_another_tape(w):
    """What another recording knows by the same bits is not taken for a source of this one."""
    with hg.GradientTape() as tape:
        x = hg.asarray([1.0, 2.0])
        tape.watch(x)
        h = x * 2.0
    del tape
    with hg.GradientTape():
        y = hg.sum(w * 2.0)
    for source in (x, h):
        failure(assert_flow, y, source)
        assert_no_flow(y, source)


def test_inside_the_block_nothing_is_recorded_or_consumed(w):
    with hg.GradientTape() as tape:
        y = hg.sum(w * w * w)
        assert_flow(y, w)
        assert_no_flow(hg.stop_gradient(y), w)
        z = y * 2.0
    np.testing.assert_allclose(tape.gradient(z, w).numpy(), 6 * w.numpy() ** 2)


def test_inside_two_tapes_second_order_is_kept(w):
    with hg.GradientTape() as outer:
        with hg.GradientTape() as inner:
            y = hg.sum(w * w * w)
        assert_flow(y, w)
        g = inner.gradient(y, w)
        assert_flow(g, w)
    np.testing.assert_allclose(outer.gradient(g, w).numpy(), 6 * w.numpy())


def test_tensors_as_sources(w):
    x = hg.asarray([1.0, 2.0])
    with hg.GradientTape() as tape:
        tape.watch(x)
        h = x * w
        y = hg.sum(h * hg.stop_gradient(h))
    assert_flow(y, [x, h])
    assert flow_matrix({"y": y}, {"h": h}).norm("y", "h") == pytest.approx(np.sqrt(17))
    assert "missing_stop; gradient norm 4.123" in failure(assert_no_flow, y, h)


def test_a_target_that_is_a_source():
    x = hg.asarray([1.0])
    with hg.GradientTape() as tape:
        tape.watch(x)
    assert_flow(x, x)


def test_layers_stand_for_their_variables():
    used, unused = nn.Dense(1, name="used"), nn.Dense(1, name="unused")
    with hg.GradientTape():
        y = hg.sum(used(hg.ones((2, 3))))
        unused(hg.ones((2, 3)))
    assert_flow(y, used)
    text = failure(assert_flow, y, [used, unused])
    assert "does not reach 2 of 4 sources" in text
    assert "unused/kernel: unused" in text
    assert "unused/bias: unused" in text


def test_gradients_of_several_targets_are_added(w):
    with hg.GradientTape():
        y = hg.sum(w * 2.0)
        z = hg.sum(w * -2.0)
    assert_flow([y], w)
    assert_flow(z, w)
    assert "exactly zero" in failure(assert_flow, [y, z], w)


def test_a_custom_rule_that_gives_none(w):
    @hg.custom_gradient
    def f(x):
        return x * 2.0, lambda g: None

    with hg.GradientTape():
        y = hg.sum(f(w))
        z = y + hg.sum(w)
    assert "custom_gradient" in failure(assert_flow, y, w)
    assert_flow(z, w)
    assert_no_flow(y, w)
    with pytest.raises(FlowError) as caught:
        assert_no_flow(z, w)
    assert caught.value.report == "w: connected; gradient norm 1.414"


def test_what_a_custom_rule_reads_is_not_watched(w, v):
    @hg.custom_gradient
    def f(x):
        return x * 2.0, lambda g: g * v

    with hg.GradientTape() as tape:
        y = hg.sum(f(w))
        assert_flow(y, w)
    assert tape.watched_variables() == (w,)


def test_an_error_can_be_pickled(w):
    with hg.GradientTape():
        y = hg.sum(hg.stop_gradient(w))
    with pytest.raises(FlowError) as caught:
        assert_flow(y, w)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.report) == (str(caught.value), caught.value.report)


# -- assert_no_flow -------------------------------------------------------------------------------


def test_no_flow_passes_where_gradient_is_stopped(w, v):
    with hg.GradientTape():
        y = hg.sum(hg.stop_gradient(w) * 2.0)
    assert_no_flow(y, [w, v])


def test_missing_stop_names_the_lines_at_which_it_enters(w, v):
    with hg.GradientTape():
        h = w * 2.0  # first
        h = h + hg.stop_gradient(v)
        y = hg.sum(h * w)  # second
    first, *told, last = failure(assert_no_flow, y, [w, v]).splitlines()
    assert first == "gradient reaches 1 of 2 sources that it must not reach"
    assert told[0].startswith("w: missing_stop; gradient norm")
    assert f"test_flow.py:{line_of('first')}: h = w * 2.0" in told[1]
    assert f"test_flow.py:{line_of('second')}: y = hg.sum(h * w)" in told[2]
    assert "headgate.stop_gradient(...) around the value there" in told[3]
    assert last == "not reached: v"


def test_ops_off_the_way_to_the_target_are_no_entries(w):
    with hg.GradientTape():
        y = hg.sum(w * 2.0)  # way
        other = hg.exp(w)  # other
    text = failure(assert_no_flow, y, w)
    assert f"test_flow.py:{line_of('way')}:" in text
    assert f"test_flow.py:{line_of('other')}:" not in text
    assert other.shape == (2,)


def test_missing_stop_after_the_graph_was_freed(w):
    with hg.GradientTape() as tape:
        y = hg.sum(w * 2.0)
    tape.gradient(y, w)
    text = failure(assert_no_flow, y, w)
    assert "w: missing_stop" in text
    assert "on its way to the target" in text


def test_flow_that_happens_to_be_zero_is_flow(w):
    with hg.GradientTape():
        y = hg.sum(hg.relu(w - 5.0))
    assert "w: missing_stop; exactly zero" in failure(assert_no_flow, y, w)


# -- arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", [assert_flow, assert_no_flow])
@pytest.mark.parametrize("target", [1.0, np.float64(2.0), None, [np.ones(2)]])
def test_targets_that_are_no_tensors(check, target, w):
    with pytest.raises(TypeError, match=r"target has .* no tensor: it left the tape"):
        check(target, w)


@pytest.mark.parametrize("check", [assert_flow, assert_no_flow])
def test_sources_that_are_no_tensors(check, w):
    with pytest.raises(TypeError, match=r"sources has str 'w', which is no tensor"):
        check(hg.asarray(1.0), [w, "w"])


@pytest.mark.parametrize("check", [assert_flow, assert_no_flow])
def test_nothing_to_check(check, w):
    with pytest.raises(ValueError, match="sources has no tensors: there would be nothing to check"):
        check(hg.asarray(1.0), [])
    with pytest.raises(ValueError, match="empty has no trainable variables; build it or call it"):
        check(hg.asarray(1.0), nn.Dense(1, name="empty"))
    with pytest.raises(ValueError, match="target has no tensors"):
        check([], w)


def test_targets_of_different_recordings(w):
    with hg.GradientTape():
        y = hg.sum(w)
    with hg.GradientTape():
        z = hg.sum(w)
    with pytest.raises(ValueError, match="assert them one at a time"):
        assert_flow([y, z], w)


# -- flow_matrix ----------------------------------------------------------------------------------


@pytest.fixture
def gan(w, v):
    """Return losses and groups of a program in which the generator's loss stops before G."""
    used = hg.Variable([1.0, 1.0], name="used")
    with hg.GradientTape(persistent=True) as tape:
        fake = w * 2.0
        d_loss = hg.sum(hg.stop_gradient(fake) * v)
        g_loss = hg.sum(fake * v * used)
    losses = {"d_loss": d_loss, "g_loss": g_loss}
    groups = {"G": w, "D": [v, used], "<none>": hg.Variable([0.0], name="none")}
    return tape, losses, groups


def test_norms_are_those_of_the_tape(gan):
    tape, losses, groups = gan
    matrix = flow_matrix(losses, groups)
    for row, loss in losses.items():
        for column, group in groups.items():
            sources = group if isinstance(group, list) else [group]
            found = [g for g in tape.gradient(loss, sources) if g is not None]
            expected = np.sqrt(sum(np.sum(g.numpy() ** 2) for g in found)) if found else None
            assert matrix.norm(row, column) == pytest.approx(expected)


def test_cells_tell_of_cuts_parts_and_unused_groups(gan):
    _, losses, groups = gan
    matrix = flow_matrix(losses, groups)
    cell = matrix.cell("d_loss", "G")
    (cut,) = cell.cuts
    assert (cut.kind, cut.shape) == ("stop_gradient", (2,))
    assert cut.text.startswith("d_loss = hg.sum(hg.stop_gradient(fake) * v)")
    assert matrix.cuts == cell.cuts
    assert str(cell).endswith(f"test_flow.py:{cut.line}")
    assert str(cell).startswith("stop_gradient at ")
    assert str(matrix.cell("d_loss", "D")) == "4.472 (1 of 2; unused)"
    assert str(matrix.cell("g_loss", "<none>")) == "unused"
    states = [[cell.state for cell in row] for row in matrix.cells]
    assert states == [["cut", "partly", "cut"], ["flows", "flows", "cut"]]


def test_a_matrix_does_not_consume_the_tape(w):
    with hg.GradientTape() as tape:
        y = hg.sum(w * w)
    before = flow_matrix({"y": y}, {"w": w})
    assert before.norm("y", "w") == pytest.approx(np.linalg.norm(2 * w.numpy()))
    np.testing.assert_array_equal(tape.gradient(y, w).numpy(), 2 * w.numpy())
    after = flow_matrix({"y": y}, {"w": w})
    assert str(after.cell("y", "w")) == "connected"
    with pytest.raises(RuntimeError, match="call flow_matrix before it"):
        after.norm("y", "w")


def test_a_loss_whose_graph_was_partly_freed_by_another(w, v):
    with hg.GradientTape() as tape:
        h = w * w
        y = hg.sum(h)
        z = hg.sum(h * v + w)
    tape.gradient(y, w)
    assert str(flow_matrix({"z": z}, {"w": w}).cell("z", "w")) == "connected"
    norm = flow_matrix({"z": z}, {"v": v}).norm("z", "v")  # on whose way all is there
    assert norm == pytest.approx(np.linalg.norm(h.numpy()))


def test_zero_is_shown_as_zero(w):
    with hg.GradientTape():
        y = hg.sum(hg.relu(w - 5.0))
    cell = flow_matrix({"y": y}, {"w": w}).cell("y", "w")
    assert (str(cell), cell.state, cell.norm) == ("0", "zero", 0.0)


def test_a_rule_that_gives_none_for_one_loss_gives_none_for_that_one_only(w):
    @hg.custom_gradient
    def f(x):
        return x * 2.0, lambda g: None

    with hg.GradientTape():
        y = hg.sum(f(w))
        z = y + hg.sum(w)
    for losses in ({"y": y, "z": z}, {"z": z, "y": y}):
        matrix = flow_matrix(losses, {"w": w})
        assert str(matrix.cell("y", "w")).startswith("custom_gradient at ")
        assert matrix.norm("z", "w") == pytest.approx(np.sqrt(2))


def test_text_has_a_line_per_loss_in_columns(gan):
    _, losses, groups = gan
    head, first, second = str(flow_matrix(losses, groups)).splitlines()
    assert head.split() == ["G", "D", "<none>"]
    assert first.startswith("d_loss  stop_gradient at ")
    assert second.index("unused") == head.index("<none>") == first.rindex("unused")


def test_rich_shows_all_cells_without_reading_markup(gan):
    _, losses, groups = gan
    matrix = flow_matrix({"[red]": losses["g_loss"]}, {"[bold]G[/]": groups["G"]})
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(matrix)
    shown = capture.get()
    assert "[red]" in shown
    assert "[bold]G[/]" in shown
    assert str(matrix.cell("[red]", "[bold]G[/]")) in shown


def test_rich_colours_say_how_it_flows(gan):
    _, losses, groups = gan
    console = Console(width=200, force_terminal=True, color_system="standard", no_color=False)
    with console.capture() as capture:
        console.print(flow_matrix(losses, groups))
    assert "\x1b[31mstop_gradient at " in capture.get()
    assert "\x1b[33m4.472 " in capture.get()


def test_html_is_escaped_and_has_all_cells(gan):
    _, losses, groups = gan
    matrix = flow_matrix(losses, groups)
    page = matrix._repr_html_()
    assert "<none>" not in page
    assert "&lt;none&gt;" in page
    assert page.count("<tr>") == 3
    cells = [html.unescape(text) for text in re.findall(r"<td[^>]*>(.*?)</td>", page)]
    assert cells == [str(cell) for row in matrix.cells for cell in row]


def test_names_that_are_not_there(gan):
    _, losses, groups = gan
    matrix = flow_matrix(losses, groups)
    with pytest.raises(LookupError, match="no loss 'loss'; there are d_loss, g_loss"):
        matrix.norm("loss", "G")
    with pytest.raises(LookupError, match="no group 'E'; there are G, D, <none>"):
        matrix.cell("d_loss", "E")


@pytest.mark.parametrize("wrong", [{}, [hg.asarray(1.0)], hg.asarray(1.0)])
def test_a_matrix_needs_names(wrong, w):
    with pytest.raises(TypeError, match="takes losses as a dictionary with a name for each"):
        flow_matrix(wrong, {"w": w})
    with pytest.raises(TypeError, match="takes groups as a dictionary with a name for each"):
        flow_matrix({"y": hg.asarray(1.0)}, wrong)


def test_a_matrix_names_the_group_or_loss_that_is_wrong(w):
    with pytest.raises(ValueError, match="group 'W' has no tensors"):
        flow_matrix({"y": hg.asarray(1.0)}, {"W": []})
    with pytest.raises(TypeError, match=r"loss 'y' has float 1\.0, which is no tensor"):
        flow_matrix({"y": 1.0}, {"W": w})


def test_a_gradient_of_zeros_says_where_it_became_so():
    w, v = hg.Variable([1.0, 2.0]), hg.Variable(1.0)
    with hg.GradientTape():
        dead = hg.sum(hg.relu(w - 100.0) + hg.stop_gradient(w))  # dies
        alive = hg.sum(w * v)
    first, *rest = failure(assert_flow, dead, w).splitlines()[1:]
    assert first == "w: connected; exactly zero: relu lets 0 of 2 elements through"
    assert [line.partition(" at ")[0] for line in rest] == [
        "  zero_derivative [relu]",
        "  other paths are cut:",
        "  stop_gradient",
    ]
    assert f":{line_of('dies')}: " in rest[0]
    assert_flow(alive, [w, v])


def test_a_cut_before_many_sources_is_told_once():
    params = [hg.Variable(float(k)) for k in range(60)]
    spare = [hg.Variable(0.0) for _ in range(7)]
    with hg.GradientTape():
        loss = hg.stop_gradient(sum(params, hg.asarray(0.0)))
    said = failure(assert_flow, loss, [*params, *spare]).splitlines()
    names = ", ".join(f"params[{k}]" for k in range(5))
    assert said[0] == "gradient does not reach 67 of 67 sources"
    assert said[1] == f"{names} and 55 more: cut"
    assert said[3].startswith("spare[0], spare[1], spare[2], spare[3], spare[4] and 2 more: unused")
    assert len(said) == 5
