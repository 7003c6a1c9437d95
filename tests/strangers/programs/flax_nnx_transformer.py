"""A small transformer that continues sequences (flax.nnx)."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx


class Block(nnx.Module):
    def __init__(self, width, heads, *, rngs):
        self.norm1 = nnx.LayerNorm(width, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(
            num_heads=heads, in_features=width, decode=False, rngs=rngs
        )
        self.norm2 = nnx.LayerNorm(width, rngs=rngs)
        self.up = nnx.Linear(width, 2 * width, rngs=rngs)
        self.down = nnx.Linear(2 * width, width, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x):
        mask = nnx.make_causal_mask(jnp.ones(x.shape[:2]))
        x = x + self.attention(self.norm1(x), mask=mask)
        return x + self.dropout(self.down(nnx.gelu(self.up(self.norm2(x)))))


class Transformer(nnx.Module):
    def __init__(self, words, length, width, heads, depth, *, rngs):
        self.embed = nnx.Embed(words, width, rngs=rngs)
        self.positions = nnx.Param(0.02 * jax.random.normal(rngs.params(), (length, width)))
        self.blocks = nnx.List([Block(width, heads, rngs=rngs) for _ in range(depth)])
        self.head = nnx.Linear(width, words, rngs=rngs)

    def __call__(self, tokens):
        x = self.embed(tokens) + self.positions[...]
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def loss_fn(model, tokens):
    logits = model(tokens)[:, :-1]
    return optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]).mean()


@nnx.jit
def train_step(model, optimizer, metrics, tokens):
    loss, grads = nnx.value_and_grad(loss_fn)(model, tokens)
    metrics.update(loss=loss)
    optimizer.update(model, grads)
    return loss


model = Transformer(words=12, length=8, width=16, heads=2, depth=2, rngs=nnx.Rngs(0))
optimizer = nnx.Optimizer(model, optax.adamw(3e-3), wrt=nnx.Param)
metrics = nnx.MultiMetric(loss=nnx.metrics.Average("loss"))
model.train()
for step in range(3):
    start = jax.random.randint(jax.random.key(step), (4, 1), 0, 12)
    tokens = (start + 3 * jnp.arange(8)) % 12
    loss = train_step(model, optimizer, metrics, tokens)
    print(f"step {step}: loss {float(loss)!r}")
print("average", repr(float(metrics.compute()["loss"])))

for path, value in nnx.to_flat_state(nnx.state(model, nnx.Param)):
    print(".".join(map(str, path)), repr(float(jnp.abs(value[...]).sum())))
