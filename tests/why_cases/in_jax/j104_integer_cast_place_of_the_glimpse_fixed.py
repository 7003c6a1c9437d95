# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: what=nonzero where=nonzero
# also: -
import jax
import jax.numpy as jnp

SIZE = 4


def tents(places):
    """Weights of the two nearest pixels of each place."""
    return jax.nn.relu(1.0 - jnp.abs(places[:, None] - jnp.arange(12.0)))


def glimpse(image, corner):
    corner = jnp.clip(corner, 0, 12 - SIZE)
    rows = tents(corner[0] + jnp.arange(SIZE))
    cols = tents(corner[1] + jnp.arange(SIZE))
    return rows @ image @ cols.T


def model(params, image):
    corner = 4.0 + 3.0 * jnp.tanh(image.ravel() @ params["where"])
    patch = glimpse(image, corner)
    return patch.ravel() @ params["what"]


def loss_fn(params, batch):
    images, labels = batch
    logits = jax.vmap(model, (None, 0))(params, images)
    return jnp.mean(jax.nn.softplus(-labels * logits))


k = jax.random.split(jax.random.key(1), 4)
params = {
    "where": 0.1 * jax.random.normal(k[0], (144, 2)),
    "what": 0.1 * jax.random.normal(k[1], (SIZE * SIZE,)),
}
images = jax.random.normal(k[2], (10, 12, 12))
labels = jnp.sign(images[:, 5, 5])
velocity = jax.tree.map(jnp.zeros_like, params)
for _ in range(3):
    grads = jax.grad(loss_fn)(params, (images, labels))
    velocity = jax.tree.map(lambda v, g: 0.9 * v + g, velocity, grads)
    params = jax.tree.map(lambda p, v: p - 0.1 * v, params, velocity)
for name in params:
    print(f"{name}: {'nonzero' if jnp.any(velocity[name]) else 'zero'}")
