# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: code=nonzero
# also: -
import headgate as hg

hg.random.set_seed(0)


def report(gradients):
    for name, g in gradients.items():
        size = None if g is None else float(hg.sum(hg.abs(g)))
        print(f"{name}: {'None' if size is None else 'nonzero' if size else 'zero'}")


decoder = hg.Variable(hg.random.normal((2, 6)), trainable=False, name="decoder")
wanted = hg.tanh(hg.asarray([[0.3, -0.4]]) @ decoder)
code = hg.zeros((1, 2))
for _step in range(3):
    with hg.GradientTape() as tape:
        tape.watch(code)
        guess = hg.tanh(code @ decoder)
        loss = hg.mean((guess - wanted) ** 2)
    g = tape.gradient(loss, code)
    if g is not None:
        code = code - 0.5 * g
report({"code": g})
