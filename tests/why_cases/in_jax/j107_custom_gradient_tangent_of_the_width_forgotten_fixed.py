# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: edge=nonzero height=nonzero log_width=nonzero
# also: -
import jax
import jax.numpy as jnp


@jax.custom_jvp
def soft_step(x, width):
    return jax.nn.sigmoid(x / width)


@soft_step.defjvp
def soft_step_jvp(primals, tangents):
    x, width = primals
    (dx, dwidth) = tangents
    y = soft_step(x, width)
    slope = y * (1.0 - y) / width
    dy = slope * (dx - x / width * dwidth)
    return y, dy


def occupied(params, x):
    width = jnp.exp(params["log_width"])
    return soft_step(x - params["edge"], width) * params["height"]


@jax.jit
def fit(params, x, y):
    def error(params):
        return jnp.mean((occupied(params, x) - y) ** 2)

    grads = jax.grad(error)(params)
    return jax.tree.map(lambda p, g: p - 0.2 * g, params, grads), grads


params = {"edge": jnp.array(0.2), "log_width": jnp.array(0.0), "height": jnp.array(0.8)}
x = jnp.linspace(-3.0, 3.0, 41)
y = jax.nn.sigmoid((x - 0.5) / 0.3)
for _ in range(4):
    params, grads = fit(params, x, y)
for name, g in sorted(grads.items()):
    print(f"{name}: {'nonzero' if g else 'zero'}")
