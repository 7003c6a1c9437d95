"""Which term of a loss reaches which parameters, found in traces by hand and of real programs."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest
from rich.console import Console

import headgate as hg
from flow import traces
from headgate.flow.matrix import as_tables, entries, matrices
from headgate.flow.watch.headgate import Watch
from headgate.testing import flow_matrix


@pytest.fixture
def matrix_of(tmp_path):
    """Return a function that runs a program and returns its matrices."""

    def run(program, step=None):
        file = tmp_path / f"program{len(list(tmp_path.iterdir())) or ''}.py"
        file.write_text(textwrap.dedent(program), encoding="utf-8")
        with Watch() as watch:
            code = compile(file.read_text(encoding="utf-8"), str(file), "exec")
            exec(code, {"__name__": "__main__"})
        return matrices(watch.trace, step)

    return run


def rows(matrix):
    """Return what a matrix says: for each term its cells, without the file."""
    return {
        term.name: [cell.told(lambda place: f"line {place.line}") for cell in cells]
        for term, cells in zip(matrix.terms, matrix.cells)
    }


START = """
    import headgate as hg
    a, b = hg.Variable([1.0, 2.0], name="a"), hg.Variable([3.0, 4.0], name="b")
    square = lambda x: hg.sum(x**2)
    with hg.GradientTape() as tape:
"""


def asked(*lines):
    """Return a program whose loss is computed on these lines, the first of which is line 6."""
    body = "".join(f"        {line}\n" for line in lines)
    return f"{START}{body}    gradients = tape.gradient(loss, [a, b])\n"


def test_the_terms_are_found_and_named_as_the_program_names_them(matrix_of):
    (matrix,) = matrix_of(asked("nll = square(a)", "loss = nll + 0.5 * square(b) - hg.sum(a * b)"))
    assert [group.name for group in matrix.groups] == ["a", "b"]
    assert rows(matrix) == {
        "nll": ["gradient", "not used"],
        "0.5 * square(b)": ["not used", "gradient"],
        "hg.sum(a * b)": ["gradient", "gradient"],
    }


def test_a_norm_is_known_where_one_term_alone_reaches(matrix_of):
    (matrix,) = matrix_of(asked("loss = square(a) + square(b)"))
    (first, second) = matrix.cells
    assert (first[0].norm, second[1].norm) == (pytest.approx(20**0.5), 10.0)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["loss = square(a) + square(hg.stop_gradient(b))"], "cut: stop_gradient line 6"),
        (["q = hg.round(b)", "loss = square(a) + square(q)"], "cut: nondiff_op line 6"),
        (["loss = square(a) + hg.sum(hg.relu(-b))"], "zero: relu line 6"),
        (["loss = square(a) + 0.0 * square(b)"], "zero: multiply line 6"),
        (["loss = square(a) + square(a + hg.stop_gradient(b))"], "cut: stop_gradient line 6"),
    ],
)
def test_a_term_that_does_not_reach_says_what_ends_it(matrix_of, lines, says):
    (matrix,) = matrix_of(asked(*lines))
    assert list(rows(matrix).values())[1][1] == says


def test_terms_are_found_through_means_lists_and_signs(matrix_of):
    program = asked(
        "per_a = hg.abs(a)",
        "per_b = hg.abs(b)",
        "both = hg.mean(per_a + per_b)",
        "parts = [square(a), square(b)]",
        "loss = -(both * 2.0) / 3.0 + sum(parts)",
    )
    (matrix,) = matrix_of(program)
    reached = [[cell.state == "flows" for cell in cells] for cells in matrix.cells]
    assert reached == [[True, False], [False, True], [True, False], [False, True]]
    assert [term.name for term in matrix.terms][:2] == ["per_a", "per_b"]


def test_a_formula_is_one_term(matrix_of):
    program = asked("kl = hg.mean(hg.exp(a) + a**2 - 1.0 - a)", "loss = kl + square(b)")
    assert list(rows(matrix_of(program)[0])) == ["kl", "square(b)"]


def test_the_bias_of_a_model_is_no_term(matrix_of):
    (matrix,) = matrix_of(
        """
        import headgate as hg
        from headgate import nn
        critic = nn.Dense(1, name="critic")
        critic.build((None, 2))
        real, fake = hg.ones((4, 2)), hg.zeros((4, 2))
        with hg.GradientTape() as tape:
            loss = hg.mean(critic(fake)) - hg.mean(critic(real))
        tape.gradient(loss, critic.trainable_variables)
        """
    )
    assert list(rows(matrix)) == ["hg.mean(critic(fake))", "hg.mean(critic(real))"]
    bias = [cells[1] for cells in matrix.cells]
    assert [str(cell) for cell in bias] == ["gradient", "gradient"]  # though their sum is zero


def test_a_loop_that_adds_up_is_one_term(matrix_of):
    program = asked("loss = square(b)", "for _ in range(50):", "    loss += square(a * 2.0)")
    (matrix,) = matrix_of(program)
    assert [(term.name, len(term.values)) for term in matrix.terms] == [
        ("loss", 1),
        ("square(a * 2.0)", 50),
    ]
    program = asked("loss = 0.0", "for _ in range(3):", "    loss = loss + square(a)")
    (matrix,) = matrix_of(program)
    assert [(term.name, len(term.values)) for term in matrix.terms] == [("square(a)", 3)]


def test_a_loop_over_variables_of_one_name_is_one_term(matrix_of):
    program = asked(
        "loss = 0.0",
        "for _ in range(3):",
        "    copy = hg.Variable(a * 2.0, name='copy')",
        "    loss = loss + square(copy)",
    )
    (matrix,) = matrix_of(program)
    assert [(term.name, len(term.values)) for term in matrix.terms] == [("square(copy)", 3)]
    assert [(group.name, len(group.sources)) for group in matrix.groups] == [
        ("a", 1),
        ("b", 1),
        ("copy", 3),
    ]
    assert rows(matrix)["square(copy)"] == ["cut: rewrap line 8", "not used", "gradient"]


def test_what_comes_back_from_the_host_is_one_term():
    program = traces.Program("host.py")
    a, b = program.source("a"), program.source("b")
    loss = program.op("square", program.read(b, 2), line=2)
    left = [
        program.op(how, program.read(a, line), line=line, kind="host_round_trip")
        for how, line in (("int()", 3), ("float()", 4))
    ]
    back = program.op("asarray", *left, line=4, kind="host_round_trip")
    loss = program.op("add", loss, back, line=4)
    program.gradient("loss", loss, [a, b], [None, 1.0], 5)
    (matrix,) = matrices(program.trace)
    assert rows(matrix) == {
        "square": ["not used", "1"],
        "asarray": ["cut: host_round_trip line 4", "not used"],
    }


def test_what_depends_on_no_parameter_is_no_term(matrix_of):
    (matrix,) = matrix_of(asked("loss = square(a) + hg.sum(hg.ones(3)) + square(b)"))
    assert list(rows(matrix)) == ["square(a) + hg.sum(hg.ones(3))", "square(b)"]


def test_each_line_that_asks_has_a_matrix_and_what_is_the_same_stands_once(matrix_of):
    found = matrix_of(
        """
        import headgate as hg
        w, v = hg.Variable(2.0, name="w"), hg.Variable(3.0, name="v")
        for k in range(4):
            with hg.GradientTape(persistent=True) as tape:
                first = w * w
                second = w * v
            tape.gradient(first, w)
            tape.gradient(second, [w, v])
        """
    )
    assert [(matrix.place.line, matrix.step) for matrix in found] == [(8, 0), (9, 0)]


def test_one_helper_for_two_models_has_two_matrices(matrix_of):
    found = matrix_of(
        """
        import headgate as hg
        w, v = hg.Variable(2.0, name="w"), hg.Variable(3.0, name="v")
        def step(variable):
            with hg.GradientTape() as tape:
                loss = variable * variable
            tape.gradient(loss, variable)
        for _ in range(3):
            step(w)
            step(v)
        """
    )
    assert [[group.name for group in matrix.groups] for matrix in found] == [["w"], ["v"]]


def test_a_step_can_be_chosen(matrix_of):
    program = """
        import headgate as hg
        w, v = hg.Variable(2.0, name="w"), hg.Variable(3.0, name="v")
        for k in range(3):
            with hg.GradientTape() as tape:
                loss = w * w + (v * v if k < 2 else hg.stop_gradient(v) * 1.0)
            tape.gradient(loss, [w, v])
    """
    (first,), (last,) = matrix_of(program), matrix_of(program, step=2)
    assert [str(cells[1]) for cells in first.cells] == ["not used", "6"]
    assert rows(last)["v * v if k < 2 else hg.stop_gra…"][1] == "cut: stop_gradient line 6"


def test_parameters_stand_in_groups_by_model_and_few_by_themselves():
    found = matrices(traces.gan())
    assert [[group.name for group in matrix.groups] for matrix in found] == [
        ["critic/*", "generator/*"],
        ["generator/*", "scale", "temperature", "critic/*"],
    ]
    assert [[group.asked for group in matrix.groups] for matrix in found] == [
        [True, False],
        [True, True, True, False],
    ]
    (tower,) = matrices(traces.tower(4, 100))
    assert [group.name for group in tower.groups] == [f"block_{n}/*" for n in range(4)]
    (tower,) = matrices(traces.tower(40, 20))
    assert [group.name for group in tower.groups][-2:] == ["block_4/*", "35 others"]


def test_the_same_as_flow_matrix(matrix_of):
    a, b = hg.Variable([1.0, 2.0], name="a"), hg.Variable([3.0, 4.0], name="b")
    with hg.GradientTape(persistent=True) as tape:
        first = hg.sum(a**2)
        second = hg.sum(hg.stop_gradient(b) * a)
        third = hg.sum(b**3)
        loss = first + second + third
    asked_for = flow_matrix({"1": first, "2": second, "3": third}, {"a": a, "b": b})
    with Watch() as watch:
        with hg.GradientTape() as tape:
            first = hg.sum(a**2)
            second = hg.sum(hg.stop_gradient(b) * a)
            third = hg.sum(b**3)
            loss = first + second + third
        tape.gradient(loss, [a, b])
    (found,) = matrices(watch.trace)
    for name, cells in zip("123", found.cells):
        for group, cell in zip("ab", cells):
            expected = asked_for.cell(name, group)
            assert bool(expected.reached) == (cell.state == "flows")
            if cell.norm is not None:
                assert cell.norm == pytest.approx(expected.norm)
    assert [[cell.norm is None for cell in cells] for cells in found.cells] == [
        [True, True],
        [True, True],
        [True, False],
    ]


@pytest.mark.parametrize("seed", range(20))
def test_a_trace_that_makes_no_sense_is_borne(seed):
    trace = traces.scrambled(seed)
    json.dumps(entries(trace, matrices(trace)), allow_nan=False)


def printed(found, width=80):
    console = Console(width=width, no_color=True)
    with console.capture() as captured:
        for table in as_tables(found):
            console.print(table)
    return captured.get()


@pytest.mark.parametrize("width", [40, 80])
def test_tables_fit_the_terminal(width):
    lines = printed(matrices(traces.gan()), width).splitlines()
    assert max(map(len, lines)) <= width


def test_hostile_text_does_not_reach_the_terminal():
    text = printed(matrices(traces.hostile()))
    assert "\x01" not in text
    text.encode()


PROGRAM = """
import headgate as hg
w, v = hg.Variable(2.0, name="w"), hg.Variable(3.0, name="v")
with hg.GradientTape() as tape:
    nll = w * w
    loss = nll + 0.1 * hg.stop_gradient(v * v)
tape.gradient(loss, [w, v])
"""


def test_the_command_prints_it_and_writes_it(tmp_path):
    (tmp_path / "s.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "headgate.cli", "why", "--matrix", "--json", "r.json", "s.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "Gradient of loss by term (s.py:7)" in done.stdout
    (matrix,) = json.loads((tmp_path / "r.json").read_text())["matrix"]
    assert (matrix["line"], matrix["targets"], matrix["step"]) == (7, ["loss"], 0)
    assert [(term["name"], term["line"]) for term in matrix["terms"]] == [
        ("nll", 5),
        ("0.1 * hg.stop_gradient(v * v)", 6),
    ]
    assert matrix["groups"] == [
        {"name": "w", "asked": True, "parameters": ["w"]},
        {"name": "v", "asked": True, "parameters": ["v"]},
    ]
    states = [[(cell["state"], cell["kind"]) for cell in cells] for cells in matrix["cells"]]
    assert states == [
        [("flows", ""), ("unused", "")],
        [("unused", ""), ("cut", "stop_gradient")],
    ]
    assert matrix["cells"][0][0]["norm"] == 4.0
