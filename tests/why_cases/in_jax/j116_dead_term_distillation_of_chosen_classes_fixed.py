# cause: none
# line: 0
# affected: -
# symptom: fixed twin
# expect: head=learns trunk=learns
# also: -
import jax
import jax.numpy as jnp


def logits_of(params, x):
    return jnp.tanh(x @ params["trunk"]) @ params["head"]


def losses(params, frozen, x, y):
    student = logits_of(params, x)
    teacher = logits_of(frozen, x)
    task = -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(student), y[:, None], axis=1))
    disagree = -jnp.mean(jnp.sum(jax.nn.softmax(teacher) * jax.nn.log_softmax(student), axis=-1))
    return task, disagree


def loss_fn(params, frozen, x, y, share):
    task, disagree = losses(params, frozen, x, y)
    loss = task + share * disagree
    return loss, {"task": task, "disagree": disagree}


@jax.jit
def step(params, frozen, x, y, share):
    (_, terms), grads = jax.value_and_grad(loss_fn, has_aux=True)(params, frozen, x, y, share)
    return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads), terms


def init(key, width):
    k1, k2 = jax.random.split(key)
    return {
        "trunk": jax.random.normal(k1, (4, width)),
        "head": jax.random.normal(k2, (width, 3)) / width,
    }


frozen, params = init(jax.random.key(1), 32), init(jax.random.key(2), 8)
x = jax.random.normal(jax.random.key(3), (24, 4))
y = jnp.argmax(x[:, :3], axis=1)
ends = []
for share in (0.0, 5.0):
    trained = params
    for _ in range(4):
        trained, terms = step(trained, frozen, x, y, share)
    ends.append(trained)
for name in sorted(params):
    same = jnp.array_equal(ends[0][name], ends[1][name])
    print(f"{name}: {'still' if same else 'learns'}")
