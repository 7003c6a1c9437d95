# cause: stop_gradient
# line: 27
# affected: text.b text.w
# symptom: zero
# expect: image.b=learns image.w=learns project=learns scale=learns text.b=still text.w=still
# also: -
import jax
import jax.numpy as jnp

D = 8


def dense(key, n, m):
    return {"w": jax.random.normal(key, (n, m)) / jnp.sqrt(n), "b": jnp.zeros(m)}


def unit(x):
    return x / jnp.sqrt(jnp.sum(x**2, axis=-1, keepdims=True) + 1e-6)


def encode_image(params, x):
    return unit(jnp.tanh(x @ params["image"]["w"] + params["image"]["b"]))


def encode_text(params, x):
    h = jnp.tanh(x @ params["text"]["w"] + params["text"]["b"])
    return unit(jax.lax.stop_gradient(h) @ params["project"])


@jax.jit
def train_step(params, image, text):
    def contrastive(params):
        logits = encode_image(params, image) @ encode_text(params, text).T
        logits = logits * jnp.exp(params["scale"])
        own = jnp.diag(jax.nn.log_softmax(logits)) + jnp.diag(jax.nn.log_softmax(logits.T))
        return -jnp.mean(own) / 2

    loss, grads = jax.value_and_grad(contrastive)(params)
    return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads), loss


keys = jax.random.split(jax.random.key(0), 5)
params = {
    "image": dense(keys[0], 6, D),
    "text": dense(keys[1], 5, D),
    "project": jax.random.normal(keys[2], (D, D)),
    "scale": jnp.array(0.0),
}
start = params
image, text = jax.random.normal(keys[3], (16, 6)), jax.random.normal(keys[4], (16, 5))
for _ in range(4):
    params, loss = train_step(params, image, text)
for (path, new), old in zip(jax.tree.leaves_with_path(params), jax.tree.leaves(start)):
    name = jax.tree_util.keystr(path, simple=True, separator=".")
    print(f"{name}: {'still' if (new == old).all() else 'learns'}")
