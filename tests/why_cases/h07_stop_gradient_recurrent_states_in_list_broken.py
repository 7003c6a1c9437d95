# cause: stop_gradient
# line: 34
# affected: w_in w_rec
# symptom: none
# expect: w_in=None w_rec=None w_out=nonzero
# also: -
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


w_in = hg.Variable(0.5 * hg.random.normal((2, 5)), name="w_in")
w_rec = hg.Variable(0.5 * hg.random.normal((5, 5)), name="w_rec")
w_out = hg.Variable(0.5 * hg.random.normal((5, 2)), name="w_out")


def roll_out(sequence):
    h, states = hg.zeros((4, 5)), []
    for x in sequence:
        h = hg.tanh(x @ w_in + h @ w_rec)
        states.append(h)
    return states


sequence = [hg.random.normal((4, 2)) for _ in range(6)]
with hg.GradientTape() as tape:
    states = roll_out(sequence[:-1])
    guesses = [hg.stop_gradient(h) @ w_out for h in states]
    errors = [hg.mean((guess - x) ** 2) for guess, x in zip(guesses, sequence[1:])]
    loss = hg.mean(hg.stack(errors))
weights = [w_in, w_rec, w_out]
report(weights, tape.gradient(loss, weights))
