# cause: not_registered unlisted not_watched frozen
# line: 17
# affected: temperature
# symptom: absent
# expect: kernel=learns classes=learns temperature=still
# also: 21 31 37
import jax
import jax.numpy as jnp
import optax
from flax import nnx


class Classifier(nnx.Module):
    def __init__(self, rngs):
        self.proj = nnx.Linear(4, 8, rngs=rngs)
        self.classes = nnx.Param(jax.random.normal(rngs.params(), (8, 3)))
        self.temperature = nnx.Variable(jnp.array(0.0))

    def __call__(self, x):
        h = nnx.relu(self.proj(x))
        logits = h @ self.classes[...] / jnp.exp(self.temperature[...])
        return logits


def loss_fn(model, x, y):
    return optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()


@nnx.jit
def train_step(model, optimizer, x, y):
    loss, grads = nnx.value_and_grad(loss_fn)(model, x, y)
    optimizer.update(model, grads)
    return loss


model = Classifier(nnx.Rngs(19))
optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)
start = {
    "kernel": model.proj.kernel[...],
    "classes": model.classes[...],
    "temperature": model.temperature[...],
}
x = jax.random.normal(jax.random.key(19), (16, 4))
y = jnp.argmax(x[:, :3], axis=1)
for _ in range(3):
    loss = train_step(model, optimizer, x, y)
now = {
    "kernel": model.proj.kernel[...],
    "classes": model.classes[...],
    "temperature": model.temperature[...],
}
for name, value in now.items():
    print(f"{name}: {'still' if (value == start[name]).all() else 'learns'}")
