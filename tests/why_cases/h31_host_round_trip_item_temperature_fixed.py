# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: proj=nonzero log_tau=nonzero
# also: -
import headgate as hg

hg.random.set_seed(0)


def report(variables, gradients):
    for v, g in zip(variables, gradients):
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{v.name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


proj = hg.Variable(hg.random.normal((5, 4)), name="proj")
log_tau = hg.Variable(-0.5, name="log_tau")
images, texts = hg.random.normal((6, 5)), hg.random.normal((6, 4))


class ContrastiveLoss:
    def __call__(self, a, b):
        tau = hg.exp(log_tau)
        logits = hg.l2_normalize(a, axis=1) @ hg.matrix_transpose(hg.l2_normalize(b, axis=1))
        return hg.mean(hg.sparse_softmax_cross_entropy(logits / tau, hg.arange(6)))


criterion = ContrastiveLoss()
with hg.GradientTape() as tape:
    loss = criterion(images @ proj, texts)
report([proj, log_tau], tape.gradient(loss, [proj, log_tau]))
