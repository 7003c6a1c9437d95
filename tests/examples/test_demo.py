"""The demo's three programs: they are the article's, they say what is wrong, and they repeat.

These runs are short, so nothing learns much; `make demo` is the run that has to reach its goals.
"""

import ast
import inspect
import io
import json
import textwrap
from pathlib import Path

import pytest
from rich.console import Console

pytest.importorskip("gymnasium")
pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")

from headgate.examples import article_actor_critic, article_gan, article_scalar, demo
from headgate.examples.findings import Findings, told

EXAMPLE_1 = """
x = tf.Variable(2.0, name="x")
y = tf.Variable(3.0, name="y")

with tf.GradientTape() as tape:
    z = x * x + tf.stop_gradient(y) * x

dz_dx = tape.gradient(z, x)
print(f"dz/dx: {dz_dx.numpy()}")
"""

# Without the two lines that make up images; the article calls them placeholders.
EXAMPLE_2 = """
with tf.GradientTape() as tape:
    discriminator_loss = discriminator_loss_function(real_images, fake_images)

gradients = tape.gradient(discriminator_loss, discriminator.trainable_variables)
discriminator_optimizer.apply_gradients(zip(gradients, discriminator.trainable_variables))

with tf.GradientTape() as tape:
    fake_images_for_generator_loss = generator(noise)
    generator_loss = generator_loss_function(tf.stop_gradient(discriminator(fake_images_for_generator_loss)), fake_images_for_generator_loss)

gradients = tape.gradient(generator_loss, generator.trainable_variables)
generator_optimizer.apply_gradients(zip(gradients, generator.trainable_variables))
"""  # noqa: E501

# Without the two lines that make up states and rewards.
EXAMPLE_3 = """
actions = actor(states)
values = critic(states)

with tf.GradientTape() as tape:
    advantage = rewards - values
    policy_loss = -tf.reduce_mean(tf.stop_gradient(advantage) * tf.math.log(actions))

gradients = tape.gradient(policy_loss, actor.trainable_variables)
actor_optimizer.apply_gradients(zip(gradients, actor.trainable_variables))

with tf.GradientTape() as tape:
    critic_loss = tf.reduce_mean(tf.square(rewards - values))

gradients = tape.gradient(critic_loss, critic.trainable_variables)
critic_optimizer.apply_gradients(zip(gradients, critic.trainable_variables))
"""

PROGRAMS = {
    "scalar": (article_scalar, EXAMPLE_1),
    "gan": (article_gan, EXAMPLE_2),
    "actor_critic": (article_actor_critic, EXAMPLE_3),
}


def statements(body):
    """Yield the text of each statement; `with noting(...)` counts as if it were not there."""
    for statement in body:
        if isinstance(statement, ast.With):
            head = ", ".join(map(ast.unparse, statement.items))
            if not head.startswith("noting("):
                yield f"with {head}"
            yield from statements(statement.body)
        else:
            yield ast.unparse(statement)


@pytest.mark.parametrize("name", PROGRAMS)
def test_as_written_is_the_articles_text(name):
    program, article = PROGRAMS[name]
    (function,) = ast.parse(textwrap.dedent(inspect.getsource(program.as_written))).body
    ours = list(statements(function.body))
    position = 0
    for statement in statements(ast.parse(article).body):
        assert statement in ours[position:], f"missing, or in another order: {statement}"
        position = ours.index(statement, position) + 1


def quick_demo(folder):
    """Run the demo for a moment; return what it printed and its figures."""
    output = io.StringIO()
    assert demo.run(folder, 0, True, Console(file=output, width=80)) == []
    return output.getvalue(), json.loads((folder / "figures.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    text, figures = quick_demo(folder)
    return folder, text, figures


def place(program, line):
    """Return where a program has this line, as reports name it."""
    lines = Path(program.__file__).read_text(encoding="utf-8").splitlines()
    (number,) = (k for k, text in enumerate(lines, 1) if text.strip() == line)
    return f"{Path(program.__file__).name}:{number}"


def test_scalar_prints_seven(capsys):
    findings = article_scalar.run()
    assert capsys.readouterr().out == "dz/dx: 7.0\n"
    figures = findings.figures
    assert figures["dz_dx"] == figures["dz_dx_without_stop"] == 7.0
    assert (figures["dz_dy"], figures["dz_dy_without_stop"]) == (None, 2.0)
    x, y = figures["verdicts"]
    assert x == "x: connected"
    where = place(article_scalar, "z = x * x + tf.stop_gradient(y) * x")
    assert y.startswith("y: cut\n  stop_gradient at ")
    assert where in y


def test_gan_as_written_gets_nothing(shown):
    figures = shown[2]["gan"]["as_written"]
    assert figures["connected"] == 0
    assert figures["variables"] == len(figures["verdicts"]) == 6
    assert figures["moved_by"] == 0.0
    assert figures["apply_gradients_says"].startswith("No gradients provided for any variable")
    where = place(article_gan, "tf.stop_gradient(discriminator(fake_images_for_generator_loss)),")
    for verdict in figures["verdicts"]:
        assert "cut\n  stop_gradient at " in verdict
        assert where in verdict


def test_gan_corrected_gets_gradients(shown):
    figures = shown[2]["gan"]["corrected"]
    assert all(verdict.endswith(": connected") for verdict in figures["verdicts"])
    assert all(entry["generator_gradient_norm"] > 0.0 for entry in figures["history"])
    effect = figures["stop_in_the_discriminators_step"]
    assert effect["discriminator_gradients_differ_by"] == 0.0
    assert effect["generator_gradient_norm"] is None
    assert effect["generator_gradient_norm_without_stop"] > 0.0


def test_actor_critic_as_written_gets_nothing(shown):
    figures = shown[2]["actor_critic"]["as_written"]
    assert (figures["connected"], figures["moved_by"]) == (0, 0.0)
    assert len(figures["apply_gradients_says"]) == 2
    places = [place(article_actor_critic, "actions = actor(states)")] * 4
    places += [place(article_actor_critic, "values = critic(states)")] * 4
    for verdict, where in zip(figures["verdicts"], places, strict=True):
        assert "cut\n  outside_tape" in verdict
        assert where in verdict


def test_actor_critic_corrected_gets_gradients(shown):
    figures = shown[2]["actor_critic"]["corrected"]
    assert all(verdict.endswith(": connected") for verdict in figures["verdicts"])
    assert len(figures["verdicts"]) == 8
    effect = figures["stop_on_the_advantage"]
    assert effect["actor_gradients_differ_by"] == 0.0
    assert effect["critic_gradient_norm"] is None
    assert effect["critic_gradient_norm_without_stop"] > 0.0
    assert sum(figures["returns"]) == figures["steps"]


def test_pictures_and_figures_are_written(shown):
    folder, text, figures = shown
    drawn = {"gan-digits.png", "gan-training.png", "cartpole-returns.png"}
    assert {path.name for path in folder.iterdir()} == {*drawn, "figures.json"}
    for name in drawn:
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
        assert name in text.replace("\n", "").replace(" ", "")
    assert figures["seed"] == 0
    assert figures["seconds"]["all"] > 0.0


def test_report_fits_a_terminal_of_80_columns(shown):
    *lines, _, _ = shown[1].splitlines()  # the last but one names a file, in one piece
    assert [line for line in lines if len(line) > 80] == []
    assert not any("\x1b" in line for line in lines)


def test_a_seed_repeats_a_run(shown, tmp_path):
    _, again = quick_demo(tmp_path)
    for figures in (first := dict(shown[2]), again):
        del figures["seconds"]
    assert again == first


def test_shortfalls_are_returned(monkeypatch, tmp_path):
    def falls_short(seed, quick, progress):
        return Findings("Nothing", [("row", "[text] in brackets")], {}, ["too little"])

    program = type("Program", (), {"run": staticmethod(falls_short)})
    monkeypatch.setattr(demo, "PROGRAMS", {"program": program})
    monkeypatch.setattr(demo, "draw", lambda out, found: {})
    output = io.StringIO()
    assert demo.run(tmp_path, 0, False, Console(file=output)) == ["too little"]
    assert "[text] in brackets" in output.getvalue()


def test_verdicts_that_differ_in_the_name_share_an_entry():
    import headgate as hg

    some = [hg.Variable(1.0, name=name) for name in "abc"]
    with hg.GradientTape() as tape:
        loss = some[0] + some[1] + hg.stop_gradient(some[2])
    lines = told(tape.why(loss, some)).splitlines()
    assert lines[:2] == ["a and 1 more: connected", "c: cut"]
    assert lines[2].startswith("  stop_gradient at ")
    assert lines[3] == "    loss = some[0] + some[1] + hg.stop_gradient(some[2])"
