# cause: optimizer_mask
# line: 26
# affected: attend
# symptom: not updated
# expect: decode_in=updated attend=unchanged decode_out=updated
# also: 21 25
import headgate as hg
from headgate import optim

hg.random.set_seed(0)

decode_in = hg.Variable(0.5 * hg.random.normal((3, 4)), name="decode_in")
attend = hg.Variable(0.5 * hg.random.normal((4, 4)), name="attend")
decode_out = hg.Variable(0.5 * hg.random.normal((4, 2)), name="decode_out")
weights = [decode_in, attend, decode_out]
optimizer = optim.SGD(0.1)
x, y = hg.random.normal((6, 3)), hg.random.normal((6, 2))


def is_trained(v):
    return v.name.startswith("decode")


def update(gradients):
    trained = [(g, v) for g, v in zip(gradients, weights) if is_trained(v)]
    optimizer.apply_gradients(trained)


before = [v.numpy() for v in weights]
for _step in range(2):
    with hg.GradientTape() as tape:
        h = x @ decode_in
        mixed = hg.softmax(h @ attend @ hg.matrix_transpose(h)) @ h
        loss = hg.mean((mixed @ decode_out - y) ** 2)
    update(tape.gradient(loss, weights))
for v, old in zip(weights, before):
    print(f"{v.name}: {'updated' if (v.numpy() != old).any() else 'unchanged'}")
