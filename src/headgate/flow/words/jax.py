"""The words of JAX: what a kind does to `{names}`, and its cure, where Headgate says it else.

A key is a kind and what it depends on: the operation at which gradient ends, else the verdict, ""
where it is always so. All cures are of public functions, and hold for JAX 0.10.
"""

from __future__ import annotations

Sayings = dict[tuple[str, str], str]
"""(Kind, detail) -> a sentence."""

WHAT: Sayings = {
    ("stop_gradient", ""): "No gradient reaches {names}: the value passes stop_gradient",
    ("outside_tape", ""): "No gradient reaches {names}: the value is computed outside of the "
    "function that is differentiated, and is a constant in it",
    ("variable_replaced", ""): "No gradient reaches {names}: the function uses the value that it "
    "captures, not the argument that it is differentiated by",
    ("not_watched", ""): "No gradient reaches {names}: it is not among the arguments that the "
    "function is differentiated by",
    ("custom_gradient", ""): "No gradient reaches {names}: the rule of a custom_vjp or custom_jvp "
    "gives zeros",
    ("optimizer_mask", ""): "Never updated, though a gradient is there: {names}",
    ("unused_parameter", ""): "No gradient reaches {names}: not used for the loss",
    ("unlisted", ""): "The loss depends on it, and it is neither differentiated by nor changed: "
    "{names}",
}

_THROUGH = "soft + jax.lax.stop_gradient(hard - soft)"
_TERM = "; if the term is for the log only, leave it out of the loss."

_STOP = (
    "Remove stop_gradient here, or put it around only what must stay constant, such as the targets."
)
_NONDIFF = (
    "Use a smooth form of it, or keep the hard value forward and the gradient of a smooth one "
    f"backward: {_THROUGH}."
)
_CAST = f"Keep it in floating point as far as the loss, or pass the gradient on: {_THROUGH}."
_OUTSIDE = (
    "Compute it within the function that is differentiated, from that function's own argument."
)
_RULE = (
    "Return a gradient for this argument from the rule: bwd gives one for each argument of the "
    "function, in their order; or drop the rule and let JAX derive it."
)
_HOST = (
    "Compute with jax.numpy on the array itself; item(), float() and NumPy are for what is logged."
)

CURES: Sayings = {
    ("missing_stop", ""): "Put jax.lax.stop_gradient around what is used here.",
    ("nonfinite_slope", ""): "Keep what goes in here away from the point: use jnp.where twice, "
    "around what goes in and around the result.",
    ("nonfinite_data", ""): "Look at the data, or at the step before that wrote it: "
    "jnp.isfinite(x) tells which elements are not numbers.",
    ("stop_gradient", ""): _STOP,
    ("nondiff_op", ""): _NONDIFF,
    ("integer_cast", ""): _CAST,
    ("host_round_trip", ""): _HOST,
    ("outside_tape", ""): _OUTSIDE,
    ("variable_replaced", ""): "Use the function's own argument here, not the variable of the "
    "scope around it.",
    ("not_watched", ""): "Name its position in argnums, as in jax.grad(loss, argnums=(0, 1)), or "
    "put all parameters into one tree that is the first argument.",
    ("custom_gradient", ""): _RULE,
    ("custom_gradient", "zero"): _RULE,
    ("cancelled", ""): "A value that is added and taken away again passes nothing on: to keep the "
    "value of q and the gradient of z, write z + jax.lax.stop_gradient(q - z).",
    ("wrong_variable", ""): "Pair each gradient with the parameter that it was computed for: "
    "jax.tree.map over the same tree.",
    ("zeroed_update", ""): "Look at what is done with the gradient before the optimizer: this line "
    "multiplies, clips or masks it to zero.",
    ("zero_rate", ""): "Look at the learning rate, and at what the schedule makes of it.",
    ("dropped_gate", ""): "stop_gradient changes nothing in place: use what it returns, "
    "h = jax.lax.stop_gradient(h).",
    ("not_applied", ""): "Use what the step returns in the next one: updates, state = "
    "tx.update(grads, state, params), then params = optax.apply_updates(params, updates).",
    ("born_each_pass", ""): "Make it once, before the loop, and hand it from step to step.",
    ("unlisted", ""): "Add it to the tree that is differentiated by and trained.",
    ("mask", ""): "Look at the mask: it selects no element here. Skip such a batch, or correct the "
    "condition.",
    ("zero_derivative", ""): "Look at the values that arrive here: use jax.nn.leaky_relu, a wider "
    "clip, smaller weights, or logits instead of saturated outputs.",
    ("optimizer_mask", ""): "Look at the mask or the labels of the optimizer: they give this one "
    "no update, as optax.set_to_zero does.",
    ("frozen", ""): "Take it out of what is frozen, or declare it frozen: --no-flow NAME.",
    ("unused_parameter", ""): "Use it, or what was computed from it, in the loss; or take it out "
    "of the tree.",
    # What a term of the loss is cut by.
    ("dead_term", "stop_gradient"): "Take stop_gradient away from this term, or put it around only "
    "what must stay constant in it" + _TERM,
    ("dead_term", "nondiff_op"): _NONDIFF,
    ("dead_term", "integer_cast"): _CAST,
    ("dead_term", "outside_tape"): _OUTSIDE,
    ("dead_term", "custom_gradient"): _RULE,
}

_SOFT = {
    ("argmax", "argmin"): "Use jax.nn.softmax(x) in its place, or keep the hard choice forward: "
    f"{_THROUGH}.",
    ("argsort", "searchsorted", "top_k", "sort"): "Use the sorted values or a softmax over them, "
    "not positions.",
    ("round", "floor", "ceil", "trunc", "floor_divide"): "Keep the rounded value and pass the "
    "gradient on: x + jax.lax.stop_gradient(jnp.round(x) - x).",
    (
        *("greater", "greater_equal", "less", "less_equal", "equal", "not_equal", "sign", "level"),
        *("logical_and", "logical_or", "logical_not", "heaviside", "one_hot"),
    ): f"Use jax.nn.sigmoid(scale * difference) in its place, or {_THROUGH}.",
    ("softmax", "log_softmax"): "Look at axis: a softmax over one element is always 1, so for a "
    "single output use jax.nn.sigmoid; over several, one logit is too far above the others: scale "
    "them down.",
    ("sigmoid", "tanh", "log_sigmoid", "hard_sigmoid", "hard_tanh", "erf"): "The values that "
    "arrive here are so far out that it is flat: scale the data or the weights down, or give the "
    "loss the logits, as optax.sigmoid_binary_cross_entropy takes them.",
    ("relu", "relu6", "maximum"): "No value that arrives here is above the limit: use "
    "jax.nn.leaky_relu, a smaller learning rate or a bias that begins above 0.",
    ("clip", "minimum"): "All values that arrive here are beyond the limit: widen it, or use a "
    "smooth one, as low + (high - low) * jax.nn.sigmoid(x).",
    ("a factor of 0",): "Look at where the number comes from: a division of whole numbers (1 // 3 "
    "is 0), a weight or scale that is still at its start; or leave the term out.",
    ("categorical", "bernoulli"): "Put the log-probability of what was drawn into the loss, or "
    "draw with a relaxation: jax.nn.softmax((logits + jax.random.gumbel(key, shape)) / t).",
}

_TWICE = "jnp.where(x > 0, {0}(jnp.where(x > 0, x, 1.0)), 0.0)"
_SAFE = {
    ("log", "log2", "log10", "log1p", "logaddexp"): "Keep it away from zero, "
    "jnp.log(jnp.maximum(x, 1e-7)); of a softmax or sigmoid take jax.nn.log_softmax(logits) or "
    "jax.nn.log_sigmoid(logits), and of a sum of exponentials jax.nn.logsumexp.",
    ("sqrt", "rsqrt", "hypot", "vector_norm"): "Put an epsilon inside the root, "
    f"jnp.sqrt(x + 1e-12), or use jnp.where twice: {_TWICE.format('jnp.sqrt')}.",
    ("std", "var"): "Put an epsilon inside the root: jnp.sqrt(jnp.var(x) + 1e-6).",
    ("divide", "reciprocal", "remainder", "atan2"): "Keep the divisor away from zero: add an "
    "epsilon, use jnp.maximum(y, 1e-7), or jnp.where twice: "
    "jnp.where(y != 0, x / jnp.where(y != 0, y, 1.0), 0.0).",
    ("exp", "exp2", "expm1", "sinh", "cosh", "square", "prod"): "It leaves the range of the dtype: "
    "subtract the maximum first, as jax.nn.softmax and jax.nn.logsumexp do, clip what goes in, or "
    "use a wider dtype.",
    ("pow",): "A negative base has no fractional power, and a base of zero no finite slope: take "
    "jnp.abs(x) or jnp.maximum(x, 1e-7) first, or jnp.square(x) for squares.",
    ("acos", "asin", "atanh", "acosh"): "Clip what goes in to the inside of its range: "
    "jnp.clip(x, -1 + 1e-6, 1 - 1e-6).",
    ("softmax", "log_softmax", "logsumexp"): "A row has no finite entry, or an infinite one: leave "
    "each row of a mask at least one entry, or mask with a large finite number, -1e9, instead of "
    "-inf.",
    ("multiply", "matmul", "add", "subtract", "sum", "mean", "convolution"): "It leaves the range "
    "of the dtype, or infinities meet: compute in float32, scale what goes in down, or look for "
    "the infinities that go in.",
    ("cholesky", "lu", "triangular_solve"): "The matrix is singular, or not positive definite: add "
    "a small multiple of the identity to it.",
    ("eigh", "svd"): "Two values of the spectrum are equal, where vectors have no slope: use "
    "functions of the values only, or separate them.",
}

_BY_OP = {
    ("nondiff_op", "zero_derivative"): _SOFT,
    ("nonfinite_value", "nonfinite_slope"): _SAFE,
}
CURES.update(
    {
        (kind, op): text
        for kinds, table in _BY_OP.items()
        for ops, text in table.items()
        for op in ops
        for kind in kinds
    }
)
