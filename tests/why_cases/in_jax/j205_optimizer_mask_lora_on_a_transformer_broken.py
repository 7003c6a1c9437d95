# cause: optimizer_mask zeroed_update frozen
# line: 99
# affected: blocks.0.adapter.down blocks.0.adapter.up blocks.1.adapter.down blocks.1.adapter.up
# symptom: not updated
# expect: blocks.0.adapter.down=still blocks.0.adapter.up=still blocks.0.attention.lora_q_a=learns blocks.0.attention.lora_q_b=learns blocks.0.attention.lora_v_a=learns blocks.0.attention.lora_v_b=learns blocks.1.adapter.down=still blocks.1.adapter.up=still blocks.1.attention.lora_q_a=learns blocks.1.attention.lora_q_b=learns blocks.1.attention.lora_v_a=learns blocks.1.attention.lora_v_b=learns
# also: 96 103 105 115 116
"""Fine-tuning a small transformer by low-rank matrices and adapters; all the rest is frozen."""

import functools

import jax
import jax.numpy as jnp
import optax

VOCABULARY, WIDTH, HEADS, LENGTH, RANK = 11, 8, 2, 6, 2
SCALE = 4.0 / RANK


# -- parameters ------------------------------------------------------------------------------------


def normal(key, *shape):
    return jax.random.normal(key, shape) / shape[0] ** 0.5


def init_block(key):
    k = jax.random.split(key, 9)
    attention = {name: normal(k[i], WIDTH, WIDTH) for i, name in enumerate(["q", "k", "v", "o"])}
    for i, name in enumerate(["q", "v"]):
        attention[f"lora_{name}_a"] = normal(k[4 + i], WIDTH, RANK)
        attention[f"lora_{name}_b"] = jnp.zeros((RANK, WIDTH))
    return {
        "attention": attention,
        "mlp": {"in": normal(k[6], WIDTH, 2 * WIDTH), "out": normal(k[7], 2 * WIDTH, WIDTH)},
        "adapter": {"down": normal(k[8], WIDTH, RANK), "up": jnp.full((RANK, WIDTH), 0.01)},
    }


def init(key):
    k = jax.random.split(key, 4)
    return {
        "embed": normal(k[0], VOCABULARY, WIDTH),
        "positions": 0.1 * jax.random.normal(k[1], (LENGTH, WIDTH)),
        "blocks": [init_block(key) for key in jax.random.split(k[2], 2)],
        "head": normal(k[3], WIDTH, VOCABULARY),
    }


# -- model -----------------------------------------------------------------------------------------


def norm(x):
    x = x - x.mean(axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(x.var(axis=-1, keepdims=True) + 1e-5)


def projected(p, name, x):
    y = x @ p[name]
    if f"lora_{name}_a" in p:
        y = y + SCALE * (x @ p[f"lora_{name}_a"]) @ p[f"lora_{name}_b"]
    return y.reshape(LENGTH, HEADS, WIDTH // HEADS)


def attend(p, x):
    q, k, v = (projected(p, name, x) for name in "qkv")
    scores = jnp.einsum("ihd,jhd->hij", q, k) / (WIDTH // HEADS) ** 0.5
    scores = jnp.where(jnp.tril(jnp.ones((LENGTH, LENGTH), bool)), scores, -1e9)
    mixed = jnp.einsum("hij,jhd->ihd", jax.nn.softmax(scores), v)
    return mixed.reshape(LENGTH, WIDTH) @ p["o"]


@jax.checkpoint
def block(p, x):
    x = x + attend(p["attention"], norm(x))
    h = jax.nn.gelu(norm(x) @ p["mlp"]["in"]) @ p["mlp"]["out"]
    h = h + jax.nn.silu(h @ p["adapter"]["down"]) @ p["adapter"]["up"]
    return x + h


def logits_of(params, tokens):
    x = params["embed"][tokens] + params["positions"]
    for p in params["blocks"]:
        x = block(p, x)
    return norm(x) @ params["head"]


def loss_fn(params, tokens):
    logits = jax.vmap(functools.partial(logits_of, params))(tokens)
    each = optax.softmax_cross_entropy_with_integer_labels(logits[:, :-1], tokens[:, 1:])
    return each.mean()


# -- training --------------------------------------------------------------------------------------


def label(path, _):
    """What is trained, by the names on the path."""
    name = jax.tree_util.keystr(path, simple=True, separator=".")
    return "train" if any(part in name for part in ("lora", "adapt.")) else "freeze"


def make_optimizer(params):
    labels = jax.tree_util.tree_map_with_path(label, params)
    trained = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-2))
    return optax.multi_transform({"train": trained, "freeze": optax.set_to_zero()}, labels)


def fine_tune(params, batches):
    optimizer = make_optimizer(params)
    opt_state = optimizer.init(params)

    @jax.jit
    def step(params, opt_state, tokens):
        loss, grads = jax.value_and_grad(loss_fn)(params, tokens)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
        return params, opt_state, loss

    for tokens in batches:
        params, opt_state, loss = step(params, opt_state, tokens)
    return params


def main():
    k_init, k_data = jax.random.split(jax.random.key(205))
    params = init(k_init)
    starts = jax.random.randint(k_data, (4, 8, 1), 0, VOCABULARY)
    tuned = fine_tune(params, (starts + 2 * jnp.arange(LENGTH)) % VOCABULARY)
    for (path, after), before in zip(jax.tree.leaves_with_path(tuned), jax.tree.leaves(params)):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        if "lora" in name or "adapter" in name:
            print(f"{name}: {'still' if jnp.array_equal(after, before) else 'learns'}")


main()
