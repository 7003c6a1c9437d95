"""The words of TensorFlow: what a kind does to `{names}`, and its cure, where Headgate's differ.

A key is a kind and what it depends on: the operation at which gradient ends, else the verdict, ""
where it is always so. All cures are of public functions, and hold for TensorFlow 2.21 and Keras 3.
"""

from __future__ import annotations

Sayings = dict[tuple[str, str], str]
"""(Kind, detail) -> a sentence."""

WHAT: Sayings = {
    ("stop_gradient", ""): "No gradient reaches {names}: the value passes tf.stop_gradient",
    ("host_round_trip", "numpy_function"): "No gradient reaches {names}: the value goes through a "
    "function of NumPy's, which no tape can see",
    ("rewrap", ""): "No gradient reaches {names}: the value is put into a new tf.Variable, which "
    "has no history",
    ("stateful_write", ""): "No gradient reaches {names}: the value is assigned to a variable and "
    "read back",
    ("non_leaf", ""): "No gradient reaches {names}: the target was not computed from this tensor, "
    "but from what it was made of, or from a copy",
    ("not_registered", ""): "Used, but not in the model's trainable_variables, so not trained: "
    "{names}",
    ("optimizer_mask", ""): "The optimizer is never given {names}, though a gradient is there",
    ("frozen", ""): "No gradient is computed for {names}: trainable is False",
    ("unlisted", ""): "The loss depends on it, and it is neither asked for nor ever changed: "
    "{names}",
    ("born_each_pass", ""): "Made anew in every step, so that it never learns: {names}",
}

_THROUGH = "soft + tf.stop_gradient(hard - soft)"
_TERM = "; if the term is for the log only, leave it out of the loss."

_STOP = (
    "Remove tf.stop_gradient here, or put it around only what must stay constant, such as a target."
)
_PAUSED = "Move this line out of the `with tape.stop_recording()` block."
_NONDIFF = (
    "Use a smooth form of it, or keep the hard value forward and the gradient of a smooth one "
    f"backward: {_THROUGH}."
)
_CAST = f"Keep it in floating point as far as the loss, or pass the gradient on: {_THROUGH}."
_HOST = (
    "Compute with TensorFlow's functions on the tensor itself; numpy() and float() are for what is "
    "logged or drawn."
)
_REWRAP = "Use the tensor itself; make variables once, before the loop."
_WRITTEN = (
    "Use the tensor itself in the loss, and assign it to the variable for later steps only; a "
    "metric is for the log: take the loss of the same name from keras.losses."
)
_OUTSIDE = (
    "Compute it inside the `with tf.GradientTape()` block that is asked, and ask that tape: what "
    "is computed before or after the block is a constant to it."
)
_FUNCTION = (
    "Return a gradient for this argument: the inner function of tf.custom_gradient gives one for "
    "each argument, in their order."
)

CURES: Sayings = {
    ("unreached", ""): "Compute the loss within `with headgate.why.watching():` and ask there: "
    "then it is known what cuts the gradient, and at which line.",
    ("missing_stop", ""): "Put tf.stop_gradient around what is used here, or compute it outside "
    "the tape.",
    ("nonfinite_slope", ""): "Keep what goes in here away from the point: use tf.where twice, "
    "around what goes in and around the result.",
    ("nonfinite_data", ""): "Look at the data, or at the step before that wrote it: "
    "tf.math.is_finite(x) tells which elements are not numbers.",
    ("stop_gradient", ""): _STOP,
    ("no_grad_block", ""): _PAUSED,
    ("nondiff_op", ""): _NONDIFF,
    ("integer_cast", ""): _CAST,
    ("host_round_trip", ""): _HOST,
    ("host_round_trip", "numpy_function"): "Write the function with TensorFlow's operations; or "
    "use tf.py_function, and only TensorFlow's operations within it; or give it a rule by "
    "tf.custom_gradient.",
    ("host_round_trip", "float()"): "Leave out float(): use the tensor itself in the loss, and "
    "float() for what is logged.",
    ("rewrap", ""): _REWRAP,
    ("stateful_write", ""): _WRITTEN,
    ("outside_tape", ""): _OUTSIDE,
    ("variable_replaced", ""): "Change the variable in place, with w.assign(...) or "
    "w.assign_sub(...): `w = w - rate * g` makes a tensor of it. Collect the list of variables "
    "after the last one was made.",
    ("non_leaf", ""): "Ask for the gradient of the variable itself, or compute the target from "
    "this very tensor, watched by tape.watch().",
    ("custom_gradient", ""): _FUNCTION,
    ("custom_gradient", "zero"): "The rule gives zeros for the values that arrive here: look "
    "whether they are in the range for which it gives a gradient (the window of a surrogate, a "
    "scale that is at 0).",
    ("cancelled", ""): "A value that is added and taken away again passes nothing on: to keep the "
    "value of q and the gradient of z, write z + tf.stop_gradient(q - z).",
    ("not_watched", ""): "Call tape.watch(x) in the block before x is used, or make it a "
    "tf.Variable that is trainable.",
    ("wrong_variable", ""): "Pair each gradient with the variable that it was computed for: "
    "zip(gradients, variables), with the list that was asked for.",
    ("zeroed_update", ""): "Look at what is done with the gradient between the tape and the "
    "optimizer: this line multiplies, clips or masks it to zero.",
    ("zero_rate", ""): "Look at learning_rate, and at what the schedule makes of it: 1 // 1000 is "
    "0.",
    ("dropped_gate", ""): "tf.stop_gradient changes nothing in place: use what it returns, "
    "h = tf.stop_gradient(h).",
    ("freeze_too_late", ""): "Set trainable before trainable_variables are collected, and compile "
    "the model again after it.",
    ("averages_trained", ""): "Put the trained values back before the next step.",
    ("not_applied", ""): "Give it to optimizer.apply_gradients, or do not ask for it.",
    ("unlisted", ""): "Add it to the list that tape.gradient is asked for and the optimizer is "
    "given, or make it with trainable=False.",
    ("not_registered", ""): "Make it an attribute of the model or of one of its layers, or an item "
    "of a list or dictionary that is one: what lies in another object is not found.",
    ("born_each_pass", ""): "Make it once, in __init__ or build, and use it in every call.",
    ("mask", ""): "Look at the mask: it selects no element here. Skip such a batch, or correct the "
    "condition.",
    ("zero_derivative", ""): "Look at the values that arrive here: use tf.nn.leaky_relu, a wider "
    "clip, smaller weights, or logits instead of saturated outputs.",
    ("optimizer_mask", ""): "Pass its pair of gradient and variable to apply_gradients, too.",
    ("frozen", ""): "Set trainable to True before the model is compiled and its variables are "
    "collected, or declare it frozen: --no-flow NAME.",
    ("unused_parameter", ""): "Use it, or what was computed from it, in the loss; or do not ask "
    "for its gradient.",
    # What a term of the loss is cut by.
    ("dead_term", "stop_gradient"): "Take tf.stop_gradient away from this term, or put it around "
    "only what must stay constant in it" + _TERM,
    ("dead_term", "no_grad_block"): _PAUSED,
    ("dead_term", "nondiff_op"): _NONDIFF,
    ("dead_term", "integer_cast"): _CAST,
    ("dead_term", "host_round_trip"): _HOST,
    ("dead_term", "rewrap"): _REWRAP,
    ("dead_term", "stateful_write"): _WRITTEN,
    ("dead_term", "outside_tape"): _OUTSIDE,
    ("dead_term", "custom_gradient"): _FUNCTION,
}

_SOFT = {
    ("argmax", "argmin"): "Use tf.nn.softmax in its place, or keep the hard "
    "choice forward: soft + tf.stop_gradient(one_hot - soft).",
    ("top_k", "nonzero", "unique", "bucketize", "searchsorted"): "Gradient flows through values, "
    "not through positions: use those, or a softmax.",
    ("round", "floor", "ceil", "floor_div"): "Keep the rounded value and pass the gradient on: "
    "x + tf.stop_gradient(tf.round(x) - x).",
    (
        *("greater", "greater_equal", "less", "less_equal", "equal", "not_equal", "sign"),
        *("logical_and", "logical_or", "logical_not"),
    ): f"Use tf.sigmoid(scale * difference) in its place, or {_THROUGH}.",
    (
        "softmax",
        "log_softmax",
    ): "Look at the axis: a softmax over one element is always 1, so for a single output use "
    "tf.sigmoid; over several, one logit is too far above the others: scale them down.",
    ("sigmoid", "tanh", "hard_sigmoid"): "The values that arrive here are so far out that it is "
    "flat: scale the data or the weights down, or give the loss the logits, from_logits=True.",
    ("relu", "relu6"): "No value that arrives here is above 0: use tf.nn.leaky_relu, a smaller "
    "learning rate or a bias that begins above 0.",
    (
        "clip",
        "maximum",
        "minimum",
    ): "All values that arrive here are beyond the limit: widen it, "
    "or use a smooth one, as low + (high - low) * tf.sigmoid(x).",
    ("a factor of 0",): "Look at where the number comes from: a division of whole numbers (1 // 3 "
    "is 0), a weight or scale that is still at its start; or leave the term out.",
    ("categorical", "bernoulli"): "Put the log-probability of what was drawn into the loss, or "
    "draw softly: tf.nn.softmax((logits + gumbel) / temperature).",
    ("random_shuffle",): "Draw the order as numbers, and gather with it: "
    "tf.gather(x, tf.random.shuffle(tf.range(n))).",
}

_TWICE = "tf.where(x > 0, {0}(tf.where(x > 0, x, 1.0)), 0.0)"
_SAFE = {
    ("log", "log1p", "xlogy"): "Keep it away from zero, tf.math.log(tf.maximum(x, 1e-7)); of a "
    "softmax or sigmoid take tf.nn.log_softmax(logits) or tf.math.log_sigmoid(logits), and of a "
    "sum of exponentials tf.reduce_logsumexp.",
    ("sqrt", "rsqrt"): "Put an epsilon inside the root, tf.sqrt(x + 1e-12), or use tf.where twice: "
    f"{_TWICE.format('tf.sqrt')}.",
    ("divide", "reciprocal", "remainder", "atan2"): "Keep the divisor away from zero: add an "
    "epsilon, use tf.maximum(y, 1e-7), or tf.math.divide_no_nan(x, y).",
    ("exp", "expm1", "sinh", "cosh", "square", "prod"): "It leaves the range of the dtype: "
    "subtract the maximum first, as tf.nn.softmax and tf.reduce_logsumexp do, clip what goes in, "
    "or use a wider dtype.",
    ("pow",): "A negative base has no fractional power, and a base of zero no finite slope: take "
    "tf.abs(x) or tf.maximum(x, 1e-7) first, or tf.square(x) for squares.",
    ("acos", "asin", "atanh", "acosh"): "Clip what goes in to the inside of its range: "
    "tf.clip_by_value(x, -1 + 1e-6, 1 - 1e-6).",
    ("softmax", "log_softmax", "softmax_cross_entropy", "sparse_softmax_cross_entropy"): "A row "
    "has no finite entry, or an infinite one: leave each row of a mask at least one entry, or mask "
    "with a large finite number, -1e9, instead of -inf.",
    ("mean",): "The mean of no elements is NaN: skip a batch in which no element is selected; else "
    "it leaves the range of the dtype, or infinities meet.",
    ("multiply", "matmul", "add", "subtract", "sum", "einsum", "convolution"): "It leaves the "
    "range of the dtype, or infinities meet: compute in float32, scale what goes in down, or look "
    "for the infinities that go in.",
    ("inv", "det", "slogdet", "solve", "cholesky"): "The matrix is singular, or not positive "
    "definite: add a small multiple of the identity to it.",
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
