"""Addends of a loss that move nothing, and gradients that cancel; and all that only looks so."""

import warnings
from pathlib import Path

import numpy as np
import pytest

import headgate as hg
from headgate import losses, nn, optim
from headgate.flow.watch.headgate import Watch

rng = np.random.default_rng(0)
X = rng.normal(size=(8, 4))
Y = rng.normal(size=(8, 3))
LABELS = rng.integers(0, 3, size=8)


@pytest.fixture
def w():
    return hg.Variable(rng.normal(size=(4, 3)), name="w")


@pytest.fixture
def v():
    return hg.Variable(rng.normal(size=(4, 3)), name="v")


def trained(loss, variables, steps=3):
    """Train for some steps under a watch, and return it."""
    optimizer = optim.SGD(0.01)
    with Watch() as watch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in range(steps):
            with hg.GradientTape() as tape:
                value = loss(step)
            optimizer.apply_gradients(zip(tape.gradient(value, variables), variables))
    return watch


def told(watch):
    return [(f.parameter, f.kind, f.label, f.line) for f in watch.findings()]


def line_of(mark):
    """Return the number of the one line of this file that ends with `# <mark>`."""
    lines = Path(__file__).read_text().splitlines()
    (found,) = [k for k, line in enumerate(lines, 1) if line.endswith(f"  # {mark}")]
    return found


def error(w):
    return hg.mean((X @ w - Y) ** 2)


# -- dead terms ------------------------------------------------------------------------------------


def stopped(w):
    attention = hg.mean(hg.stop_gradient(X @ w) ** 2)  # stopped cut
    return error(w) + 10.0 * attention  # stopped term


def counted(w):
    wrong = hg.argmax(X @ w, axis=1) != LABELS  # counted cut
    return error(w) + hg.mean(hg.astype(wrong, "float64")) / 2.0  # counted term


def rounded(w):
    return error(w) + 0.1 * hg.sum(hg.abs(hg.round(w)))  # rounded cut


def left(w):
    penalty = float(hg.sum(w**2))  # left cut
    return error(w) + penalty  # left term


def came_back_otherwise(w):
    penalty = hg.sum(w**2).numpy()  # came_back_otherwise cut
    return error(w) + 0.1 * penalty  # came_back_otherwise term


def in_a_list(w):
    parts = [error(w), hg.sum(w**2)]
    parts.append(hg.sum(hg.stop_gradient(w) ** 4))  # in_a_list cut
    return sum(parts) / 3.0


def weighed(w):
    return hg.sum(np.array([1.0, 0.5]) * hg.stack([error(w), soft(w)]))


def soft(w):
    return hg.mean(hg.stop_gradient(hg.softmax(X @ w)) ** 2)  # weighed cut


def by_element(w):
    return hg.mean(hg.sum((X @ w - Y) ** 2, axis=1) + hardest(w))


def hardest(w):
    return hg.stop_gradient(hg.max(X @ w, axis=1))  # by_element cut


def entropy_with_a_minus(w):
    p = hg.stop_gradient(hg.softmax(X @ w))  # entropy_with_a_minus cut
    entropy = -hg.mean(hg.sum(p * hg.log(p), axis=1))
    return error(w) - 0.01 * entropy  # entropy_with_a_minus term


DEAD = [stopped, counted, rounded, left, came_back_otherwise, in_a_list, weighed, by_element]
DEAD += [entropy_with_a_minus]


@pytest.mark.parametrize("loss", DEAD)
def test_a_dead_term_is_found(w, loss):
    watch = trained(lambda step: loss(w), [w])
    (finding,) = watch.findings()
    assert (finding.parameter, finding.kind) == ("w", "dead_term")
    assert finding.line == line_of(f"{loss.__name__} cut")


@pytest.mark.parametrize("loss", [stopped, counted, left, entropy_with_a_minus])
def test_the_term_has_a_line_of_its_own(w, loss):
    (finding,) = trained(lambda step: loss(w), [w]).findings()
    assert finding.term is not None
    assert finding.term.line == line_of(f"{loss.__name__} term")


def test_a_term_under_stop_recording(w):
    with Watch() as watch, hg.GradientTape() as tape:
        loss = error(w)
        with tape.stop_recording():
            penalty = hg.sum(w**2)  # not recorded
        loss = loss + 0.1 * penalty
    with watch:
        tape.gradient(loss, w)
    (finding,) = watch.findings()
    assert (finding.kind, finding.label) == ("dead_term", "no_grad_block")
    assert finding.line == line_of("not recorded")


def test_one_of_several_targets(w):
    with Watch() as watch:
        with hg.GradientTape() as tape:
            parts = [error(w), hg.sum(hg.stop_gradient(w) ** 2)]  # among targets
        tape.gradient(parts, w)
    (finding,) = watch.findings()
    assert (finding.kind, finding.line) == ("dead_term", line_of("among targets"))


def test_two_dead_terms_are_two_findings(w):
    def loss(step):
        one = hg.mean(hg.stop_gradient(w) ** 2)  # first of two
        two = hg.mean(hg.round(w))  # second of two
        return error(w) + one + two

    lines = {finding.line for finding in trained(loss, [w]).findings()}
    assert lines == {line_of("first of two"), line_of("second of two")}


def test_a_parameter_that_gets_nothing_at_all_is_told_once(w, v):
    def loss(step):
        return error(w) + hg.mean(hg.stop_gradient(v) ** 2)

    assert [kind for _, kind, _, _ in told(trained(loss, [w, v]))] == ["stop_gradient"]


# -- silence ---------------------------------------------------------------------------------------


def constant(w, v, step):
    return error(w) + 3.0 * hg.mean(hg.asarray(Y) ** 2)


def surrogate(w, v, step):
    value, stand_in = hg.mean(hg.round(X @ w)), error(w)
    return stand_in + hg.stop_gradient(value - stand_in)


def straight_through(w, v, step):
    z = X @ w
    q = z + hg.stop_gradient(hg.round(z) - z)
    return hg.mean((q - Y) ** 2) + hg.mean(q)


def divergence(w, v, step):
    p = hg.stop_gradient(hg.softmax(X @ v))
    return error(v) + hg.mean(hg.sum(p * hg.log(p) - p * hg.log_softmax(X @ w), axis=1))


def log_sum_exp_by_hand(w, v, step):
    z = X @ w
    top = hg.stop_gradient(hg.max(z, axis=1, keepdims=True))
    return hg.mean(top + hg.log(hg.sum(hg.exp(z - top), axis=1, keepdims=True))) + error(v)


def hinge(w, v, step):
    return error(w) + hg.mean(hg.relu(hg.sum(v**2) - 1e6)) + error(v)


def weight_of_zero(w, v, step):
    return error(w) + error(v) + 0.0 * hg.sum(w**2)


def warm_up(w, v, step):
    penalty = hg.sum(w**2)
    if step < 1:
        penalty = hg.stop_gradient(penalty)
    return error(w) + error(v) + 0.1 * penalty


def target_less_prediction(w, v, step):
    target = hg.stop_gradient(X @ v)
    return error(v) + hg.mean(target - X @ w)


def vector_quantisation(w, v, step):
    z, e = X @ w, X @ v
    quantised = z + hg.stop_gradient(e - z)
    codebook = hg.mean((hg.stop_gradient(z) - e) ** 2)
    commitment = hg.mean((z - hg.stop_gradient(e)) ** 2)
    return hg.mean((quantised - Y) ** 2) + codebook + 0.25 * commitment


def advantage(w, v, step):
    values = hg.sum(X @ v, axis=1)
    gain = hg.stop_gradient(hg.sum(Y, axis=1) - values)
    chosen = hg.log_softmax(X @ w)[:, 0]
    entropy = -hg.mean(hg.sum(hg.softmax(X @ w) * hg.log_softmax(X @ w), axis=1))
    return -hg.mean(gain * chosen) + hg.mean((values - 1.0) ** 2) - 0.01 * entropy


def logged_only(w, v, step):
    loss = error(w) + error(v)
    float(loss), float(hg.mean(hg.stop_gradient(w) ** 2)), hg.argmax(X @ w)
    return loss


def centred(w, v, step):
    z = X @ w
    z = z - hg.mean(z, axis=0)
    return hg.mean(hg.softmax(z) * z) + error(v)


def moved_and_compared(w, v, step):
    z = X @ w
    moved = z + hg.tanh(X @ v)
    return hg.mean((moved - z) ** 2) + error(w)


def a_number_from_the_log(w, v, step):
    loss = error(w) + error(v)
    scale = 1.0 / max(float(loss), 1e-3)
    return loss * scale


SILENT = [
    constant,
    surrogate,
    straight_through,
    divergence,
    log_sum_exp_by_hand,
    hinge,
    weight_of_zero,
    warm_up,
    target_less_prediction,
    vector_quantisation,
    advantage,
    logged_only,
    centred,
    moved_and_compared,
    a_number_from_the_log,
]


@pytest.mark.parametrize("loss", SILENT)
def test_silence(w, v, loss):
    used = [w] if loss in (constant, surrogate, straight_through) else [w, v]
    assert told(trained(lambda step: loss(w, v, step), used)) == []


def test_a_moving_average_of_the_weights_is_no_dead_term(w):
    average = hg.Variable(w, trainable=False, name="average")
    optimizer = optim.SGD(0.01)
    with Watch() as watch:
        for _ in range(3):
            with hg.GradientTape() as tape:
                loss = error(w) + hg.mean((X @ average) ** 2)
            optimizer.apply_gradients([(tape.gradient(loss, w), w)])
            average.assign(0.9 * average + 0.1 * w)
    assert told(watch) == []


def test_a_critics_estimate_reaches_the_critic(w, v):
    """The step of the generator shows a term that only the critic could learn from."""
    with Watch() as watch:
        for _ in range(2):
            for variable, sign in ((v, -1.0), (w, 1.0)):
                with hg.GradientTape() as tape:
                    real, fake = hg.mean(X @ v), hg.mean(hg.tanh(X @ w) @ v[:3])
                    loss = sign * (real - fake)
                optim.SGD(0.01).apply_gradients([(tape.gradient(loss, variable), variable)])
    assert told(watch) == []


def test_a_networks_losses(w):
    net = nn.Sequential([nn.Dense(5, activation="relu", name="a"), nn.Dense(3, name="b")])
    net.build((None, 4))

    def loss(step):
        logits = net(X.astype("float32"))
        cross = hg.mean(losses.sparse_categorical_crossentropy(LABELS, hg.softmax(logits)))
        return cross + 1e-3 * sum(hg.sum(each**2) for each in net.trainable_variables)

    assert told(trained(loss, net.trainable_variables)) == []


# -- cancelling ------------------------------------------------------------------------------------


def wrong_straight_through(w, v):
    z = X @ w
    q = z + hg.stop_gradient(hg.round(z)) - z  # wrong_straight_through
    return hg.mean((q @ v[:3] - Y) ** 2)


def taken_away_again(w, v):
    a = hg.sum(w * w)
    return error(v) + a - hg.sum(w * w)  # taken_away_again


def by_pieces(w, v):
    z = X @ w
    hard = hg.stop_gradient(hg.round(z))
    q = hard + z
    q = q - z  # by_pieces
    return hg.mean((q - X @ v) ** 2)


@pytest.mark.parametrize("loss", [wrong_straight_through, taken_away_again, by_pieces])
def test_what_cancels_is_found_where_it_meets(w, v, loss):
    watch = trained(lambda step: loss(w, v), [w, v])
    assert told(watch) == [("w", "cancelled", "", line_of(loss.__name__))]


def test_what_cancels_for_one_term_only(w, v):
    def loss(step):
        z = X @ w
        q = z + hg.stop_gradient(X @ v - z)
        rest = z - q  # nothing of z
        return hg.mean((q - Y) ** 2) + hg.mean((rest - X @ v) ** 2)

    assert told(trained(loss, [w, v])) == [("w", "cancelled", "", line_of("nothing of z"))]


def test_what_cancels_in_one_pass_only_is_no_finding(w, v):
    def loss(step):
        a = hg.sum(w * w)
        return error(v) + a - (hg.sum(w * w) if step == 0 else 0.5 * a)

    assert told(trained(loss, [w, v])) == []


def test_a_straight_through_sum_without_its_stop(w, v):
    """The value of the code is there, and its gradient goes to the codes alone."""

    def loss(step):
        z = X @ w
        code = hg.take(v, hg.argmax(z, axis=1), axis=0)
        q = z + (code - z)  # without its stop
        return hg.mean((q - Y) ** 2) + hg.mean(z**2)

    assert told(trained(loss, [w, v])) == [("w", "cancelled", "", line_of("without its stop"))]


def test_a_bias_that_two_things_share_which_are_compared(v):
    """The critic of a Wasserstein GAN: its last bias has no effect, and is meant to have none."""
    b = hg.Variable(np.zeros(3), name="b")

    def loss(step):
        return hg.mean(X @ v + b) - hg.mean(Y[:, :1] * (X @ v) + b)

    assert told(trained(loss, [v, b])) == []
