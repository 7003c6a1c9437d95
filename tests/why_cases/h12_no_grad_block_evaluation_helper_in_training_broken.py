# cause: no_grad_block
# line: 23
# affected: filters
# symptom: none
# expect: filters=None head=nonzero
# also: 27 28 33
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


filters = hg.Variable(0.3 * hg.random.normal((6, 8)), name="filters")
head = hg.Variable(0.3 * hg.random.normal((8, 2)), name="head")


def features(x):
    return hg.relu(x @ filters)


def features_for_evaluation(tape, x):
    with tape.stop_recording():
        return features(x)


x, labels = hg.random.normal((16, 6)), hg.astype(hg.random.uniform((16,)) > 0.5, int)
with hg.GradientTape() as tape:
    h = features_for_evaluation(tape, x)
    loss = hg.mean(hg.sparse_softmax_cross_entropy(h @ head, labels))
    accuracy = hg.mean(
        hg.astype(hg.argmax(features_for_evaluation(tape, x) @ head, axis=1) == labels, float)
    )
report([filters, head], tape.gradient(loss, [filters, head]))
