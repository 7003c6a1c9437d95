"""The words of PyTorch: what a kind does to `{names}`, and its cure, where Headgate says it else.

A key is a kind and what it depends on: the operation at which gradient ends, else the verdict, ""
where it is always so. All cures are of public functions, and hold for PyTorch 2.13.
"""

from __future__ import annotations

Sayings = dict[tuple[str, str], str]
"""(Kind, detail) -> a sentence."""

WHAT: Sayings = {
    ("stop_gradient", ""): "No gradient reaches {names}: the value is detached from the graph",
    ("no_grad_block", ""): "No gradient reaches {names}: the value is computed while gradient is "
    "off, by no_grad, inference_mode or set_grad_enabled",
    ("rewrap", ""): "No gradient reaches {names}: the value is copied into a new tensor, without "
    "its history",
    ("rewrap", "Parameter"): "No gradient reaches {names}: the value is put into a new parameter, "
    "which has no history",
    ("stateful_write", ""): "No gradient reaches {names}: the value is written into a parameter or "
    "a buffer and read back",
    ("outside_tape", ""): "No gradient reaches {names}: the loss depends on it through a gradient "
    "that was computed without create_graph=True",
    (
        "variable_replaced",
        "connected",
    ): "Never updated, put in the place of what the optimizer has: {names}",
    ("non_leaf", ""): "No gradient is kept for {names}: it is the result of an operation, not a "
    "leaf",
    ("non_leaf", "unused"): "No gradient reaches {names}: the loss was computed from what this was "
    "made of, or from a copy",
    ("variable_replaced", "copied"): "Never updated, for the optimizer has a copy: {names}",
    ("not_applied", "never stepped"): "A gradient of {names} is computed again and again, and no "
    "optimizer makes a step",
    ("cleared", "part"): "The gradient of {names} is taken away after most backward() calls, and "
    "the step gets that of the last one only",
    ("checkpoint", ""): "No gradient reaches {names}: used in a checkpoint none of whose arguments "
    "requires a gradient",
    ("custom_gradient", ""): "No gradient reaches {names}: the backward of a Function, or a hook, "
    "gives None or zeros",
    ("not_watched", ""): "No gradient reaches {names}: it does not require one",
    ("wrong_variable", ""): "The gradient of another parameter is applied to {names}",
    ("zero_rate", ""): "Nothing moves {names}: the learning rate is 0 in every step",
    ("dropped_gate", ""): "Nothing is detached here: the result is dropped, and gradient still "
    "reaches {names}",
    ("unlisted", ""): "The loss depends on it, and no optimizer has it: {names}",
    ("not_registered", ""): "Used, but not in the module's parameters(), so not trained: {names}",
    ("frozen", ""): "No gradient is computed for {names}: requires_grad is False",
    ("frozen", "connected"): "Not frozen, it trains all the same: {names}",
    ("unused_parameter", ""): "No gradient reaches {names}: not used for the loss",
}

_THROUGH = "soft + (hard - soft).detach()"
_TERM = "; if the term is for the log only, leave it out of the loss."

_STOP = (
    "Remove detach() or .data here, or detach only what must stay constant, such as what is kept "
    "for the log."
)
_GRAD_OFF = (
    "Move this line out of the block or the function that switches gradient off, or switch it on "
    "again: torch.set_grad_enabled(True)."
)
_NONDIFF = (
    "Use a smooth form of it, or keep the hard value forward and the gradient of a smooth one "
    f"backward: {_THROUGH}."
)
_CAST = f"Keep it in floating point as far as the loss, or pass the gradient on: {_THROUGH}."
_HOST = (
    "Compute with torch functions on the tensor itself; item(), tolist() and numpy() are for what "
    "is logged or drawn."
)
_REWRAP = (
    "Use the tensor itself: torch.stack(list) or torch.cat(list) in place of torch.tensor(list), "
    "x.clone() in place of torch.tensor(x)."
)
_WRITTEN = (
    "Use the tensor itself in the loss; copy_() its detached value into the buffer for later steps "
    "only."
)
_FUNCTION = (
    "Return a gradient for this argument: backward() gives one for each argument of forward(), in "
    "their order."
)
_CREATE_GRAPH = (
    "Ask for it with create_graph=True, as in torch.autograd.grad(y, x, create_graph=True), so "
    "that it can be differentiated again."
)

CURES: Sayings = {
    ("unreached", ""): "Compute the loss within `with headgate.why.watching():` and ask there: "
    "then it is known what cuts the gradient, and at which line.",
    ("missing_stop", ""): "Put detach() on what is used here, or compute it under torch.no_grad().",
    ("nonfinite_slope", ""): "Keep what goes in here away from the point: use torch.where twice, "
    "around what goes in and around the result.",
    ("nonfinite_data", ""): "Look at the data, or at the step before that wrote it: "
    "torch.isfinite(x) tells which elements are not numbers.",
    ("stop_gradient", ""): _STOP,
    ("no_grad_block", ""): _GRAD_OFF,
    ("no_grad_block", "normal"): "sample() draws without a gradient: draw with rsample(), or put "
    "log_prob() of what was drawn into the loss.",
    ("no_grad_block", "copy"): _WRITTEN,
    ("nondiff_op", ""): _NONDIFF,
    ("integer_cast", ""): _CAST,
    ("host_round_trip", ""): _HOST,
    (
        "host_round_trip",
        "into",
    ): "Compute the loss with torch functions; or ask the other framework for its gradient by "
    "this value as well, and hand it back: h.backward(torch.from_dlpack(dh)).",
    (
        "host_round_trip",
        "item()",
    ): "Leave out item(): use the tensor itself in the loss, and item() for what is logged.",
    ("host_round_trip", "float()"): "Leave out float(): use the tensor itself in the loss, and "
    "float() for what is logged.",
    ("rewrap", ""): _REWRAP,
    ("rewrap", "Parameter"): "Make parameters once, in __init__; use the tensor itself here, or "
    "torch.func.functional_call to run a module with it in a parameter's place.",
    ("stateful_write", ""): _WRITTEN,
    ("outside_tape", ""): _CREATE_GRAPH,
    ("variable_replaced", ""): "Make the optimizer after the last parameter was put in place, or "
    "write into the one that it has: with torch.no_grad(): p.copy_(value).",
    ("non_leaf", ""): "Compute first and ask last: w = (0.1 * torch.randn(3)).requires_grad_(); or "
    "call retain_grad() on it before backward().",
    (
        "non_leaf",
        "unused",
    ): "Compute the loss from this very tensor, or ask for the gradient of "
    "the one that the loss was computed from.",
    ("checkpoint", ""): "Use checkpoint(..., use_reentrant=False), or let an input require a "
    "gradient: x.requires_grad_().",
    ("custom_gradient", ""): _FUNCTION,
    ("custom_gradient", "zero"): "The backward gives zeros for the values that arrive here: look "
    "whether they are in the range for which it gives a gradient (the window of a surrogate, a "
    "scale that is at 0).",
    ("cancelled", ""): "A value that is added and taken away again passes nothing on: to keep the "
    "value of q and the gradient of z, write z + (q - z).detach().",
    ("not_watched", ""): "Call x.requires_grad_() before x is used, or make it an nn.Parameter.",
    ("wrong_variable", ""): "Pair each gradient with the parameter that it was computed for: "
    "zip(params, torch.autograd.grad(loss, params)), with one and the same list.",
    ("zeroed_update", ""): "Look at what is done with the gradient between backward() and step(): "
    "this line multiplies, clips or masks it to zero.",
    ("zero_rate", ""): "Look at lr, and at what the scheduler makes of it: 1 // 1000 is 0.",
    ("dropped_gate", ""): "detach() changes nothing in place: use what it returns, h = h.detach().",
    ("freeze_too_late", ""): "Set p.grad = None as well when it is frozen, or make the optimizer "
    "afterwards: a gradient that is still there, even of zeros, moves it by momentum and decay.",
    ("freeze_too_much", ""): "End the number in the pattern, as in name.startswith('block_1.').",
    ("averages_trained", ""): "Put the trained values back before the next step.",
    ("not_applied", ""): "Put it into p.grad before the step, or do not ask for it.",
    ("variable_replaced", "copied"): "Give the optimizer the very parameters that the loss is "
    "computed with: deepcopy(), clone() and .data make others.",
    ("not_applied", "never stepped"): "Call optimizer.step() after backward().",
    ("cleared", "part"): "Call zero_grad() once for each step(), before the first of its "
    "backward() or after step(): here only the last one counts.",
    ("cleared", ""): "Call zero_grad() before backward() or after step(), not between them.",
    ("freed_graph", ""): "Compute the loss anew in each pass, add the losses up and call "
    "backward() once, or keep the graph: backward(retain_graph=True). State that is carried over "
    "from the pass before is detached first: h = h.detach().",
    ("in_place", ""): "Write x = x + y in place of x += y, or write into x.clone(); change "
    "parameters under torch.no_grad(), after all backward() that go through them.",
    ("unlisted", ""): "Make it an nn.Parameter of the model before the optimizer is made, or give "
    "it to the optimizer: optimizer.add_param_group({'params': [p]}).",
    ("not_registered", ""): "Put modules into an nn.ModuleList or nn.ModuleDict, and parameters "
    "into an nn.ParameterList: those in a plain list, dictionary or object are not found.",
    ("mask", ""): "Look at the mask: it selects no element here. Skip such a batch, or correct the "
    "condition.",
    ("zero_derivative", ""): "Look at the values that arrive here: use F.leaky_relu, a wider "
    "clamp, smaller weights, or logits instead of saturated outputs.",
    ("optimizer_mask", ""): "Give it to the optimizer, from the start or by "
    "optimizer.add_param_group({'params': [p]}).",
    ("frozen", ""): "Call requires_grad_(True) and let the optimizer have it, or declare it "
    "frozen: --no-flow NAME.",
    ("frozen", "connected"): "This sets an attribute that nothing reads: call "
    "module.requires_grad_(False), or set p.requires_grad = False of each of its parameters.",
    ("unused_parameter", ""): "Use it, or what was computed from it, in the loss; or take it out "
    "of the model.",
    # What a term of the loss is cut by.
    ("dead_term", "stop_gradient"): "Take detach() away from this term, or detach only what must "
    "stay constant in it" + _TERM,
    ("dead_term", "no_grad_block"): _GRAD_OFF,
    ("dead_term", "nondiff_op"): _NONDIFF,
    ("dead_term", "integer_cast"): _CAST,
    ("dead_term", "host_round_trip"): _HOST,
    ("dead_term", "rewrap"): _REWRAP,
    ("dead_term", "stateful_write"): _WRITTEN,
    ("dead_term", "outside_tape"): _CREATE_GRAPH,
    ("dead_term", "custom_gradient"): _FUNCTION,
}

_SOFT = {
    ("argmax", "argmin"): "Use F.softmax(x, dim) in its place, or F.gumbel_softmax(x, hard=True), "
    "which is one-hot forward and soft backward.",
    ("argsort", "searchsorted", "bucketize", "nonzero"): "Use the sorted values or a softmax over "
    "them, not positions.",
    ("topk", "sort", "max", "min", "median", "mode", "kthvalue"): "Gradient flows through the "
    "values that it returns, not through the indices: use those, or a softmax.",
    ("round", "floor", "ceil", "trunc", "floor_divide"): "Keep the rounded value and pass the "
    "gradient on: x + (torch.round(x) - x).detach().",
    (
        *("greater", "greater_equal", "less", "less_equal", "equal", "not_equal", "sign", "level"),
        *("logical_and", "logical_or", "logical_not", "signbit"),
    ): f"Use torch.sigmoid(scale * difference) in its place, or {_THROUGH}.",
    (
        "softmax",
        "log_softmax",
    ): "Look at dim: a softmax over one element is always 1, so for a single output use "
    "torch.sigmoid; over several, one logit is too far above the others: scale them down.",
    ("sigmoid", "tanh", "logsigmoid", "hardsigmoid", "hardtanh"): "The values that arrive here are "
    "so far out that it is flat: scale the data or the weights down, or give the loss the logits, "
    "as F.binary_cross_entropy_with_logits takes them.",
    ("relu", "relu6", "threshold"): "No value that arrives here is above 0: use F.leaky_relu, a "
    "smaller learning rate or a bias that begins above 0.",
    (
        "clip",
        "maximum",
        "minimum",
    ): "All values that arrive here are beyond the limit: widen it, "
    "or use a smooth one, as low + (high - low) * torch.sigmoid(x).",
    ("a factor of 0",): "Look at where the number comes from: a division of whole numbers (1 // 3 "
    "is 0), a weight or scale that is still at its start; or leave the term out.",
    ("multinomial", "bernoulli", "poisson"): "Put the log-probability of what was drawn into the "
    "loss, dist.log_prob(action), or draw with F.gumbel_softmax(logits, hard=True).",
}

_TWICE = "torch.where(x > 0, {0}(torch.where(x > 0, x, 1.0)), 0.0)"
_SAFE = {
    ("log", "log2", "log10", "log1p", "logaddexp"): "Keep it away from zero, "
    "torch.log(x.clamp(min=1e-7)); of a softmax or sigmoid take F.log_softmax(logits, dim) or "
    "F.logsigmoid(logits), and of a sum of exponentials torch.logsumexp.",
    ("sqrt", "rsqrt", "hypot"): "Put an epsilon inside the root, torch.sqrt(x + 1e-12), or use "
    f"torch.where twice: {_TWICE.format('torch.sqrt')}.",
    ("std", "var", "std_mean", "var_mean"): "Of one element alone there is no deviation: use "
    "correction=0 and an epsilon, torch.sqrt(x.var(correction=0) + 1e-6).",
    ("divide", "reciprocal", "remainder", "atan2"): "Keep the divisor away from zero: add an "
    "epsilon, use y.clamp(min=1e-7), or torch.where twice: "
    "torch.where(y != 0, x / torch.where(y != 0, y, 1.0), 0.0).",
    ("exp", "exp2", "expm1", "sinh", "cosh", "square", "prod"): "It leaves the range of the dtype: "
    "subtract the maximum first, as torch.softmax and torch.logsumexp do, clamp what goes in, or "
    "use a wider dtype.",
    ("pow",): "A negative base has no fractional power, and a base of zero no finite slope: take "
    "x.abs() or x.clamp(min=1e-7) first, or x.square() for squares.",
    ("acos", "arccos", "asin", "arcsin", "atanh", "arctanh", "acosh", "arccosh"): "Clamp what goes "
    "in to the inside of its range: x.clamp(-1 + 1e-6, 1 - 1e-6).",
    (
        *("softmax", "log_softmax", "logsumexp", "scaled_dot_product_attention"),
        "multi_head_attention_forward",
    ): "A row has no finite entry, or an infinite one: leave each row of a mask at least one "
    "entry, or mask with a large finite number, -1e9, instead of -inf.",
    ("mean", "cross_entropy", "nll_loss"): "The mean of no elements is NaN: skip a batch in which "
    "no element is selected (all targets are ignore_index); else it leaves the range of the dtype, "
    "or infinities meet.",
    ("multiply", "matmul", "linear", "add", "subtract", "sum", "einsum", "conv2d"): "It leaves the "
    "range of the dtype, or infinities meet: compute in float32 (x.float()), scale what goes in "
    "down, or look for the infinities that go in.",
    (
        *("inverse", "pinverse", "det", "logdet", "slogdet", "cholesky", "linalg_inv"),
        *("linalg_pinv", "linalg_solve", "linalg_det", "linalg_slogdet", "linalg_cholesky"),
    ): "The matrix is singular, or not positive definite: add a small multiple of the identity to "
    "it.",
    ("svd", "linalg_eigh", "linalg_svd"): "Two values of the spectrum are equal, where "
    "vectors have no slope: use functions of the values only, or separate them.",
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
