# cause: none
# line: 0
# affected: -
# symptom: legit: one place is looked at, gradient goes to the soft weights
# expect: query=nonzero value=nonzero
# also: -
# stops: 25
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


query = hg.Variable(hg.random.normal((4, 3)), name="query")
value = hg.Variable(hg.random.normal((4, 2)), name="value")
x, places, y = hg.random.normal((8, 4)), hg.random.normal((5, 3)), hg.random.normal((8, 2))
contents = hg.random.normal((5, 4))
with hg.GradientTape() as tape:
    soft = hg.softmax((x @ query) @ hg.matrix_transpose(places))
    hard = hg.one_hot(hg.argmax(soft, axis=1), 5)
    looked_at = hg.straight_through(hard, soft) @ contents
    loss = hg.mean((looked_at @ value - y) ** 2)
report([query, value], tape.gradient(loss, [query, value]))
