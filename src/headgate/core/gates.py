"""Gates: identities in the forward pass with a policy in the backward pass.

Every way in which people steer a gradient is one idea. The value goes through unchanged; the
cotangent that comes back is dropped (`stop_gradient`), scaled, reversed, clipped, masked (`route`),
sent to another value (`straight_through`), or computed by the user's own rule (`custom_gradient`,
in `headgate.core.custom`). All but the stop are ordinary rows of ops.

A policy is for the gradient as users see it, and complex numbers are conjugated in the walk
(`headgate.core.walk`): so a complex `scale` or `mask` is, and so are bounds.

A surrounding `jax.grad` sees JAX's own stop beside ours; of the other gates' policies only our
tapes know.

A stop makes a value with nothing live behind it and one more cut. It does not hold the graph before
it, so a stopped branch is freed in the very statement that stops it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import optree

from headgate.core.checks import WrongType, refused
from headgate.core.lift import shape_of
from headgate.core.namespace import is_array, owner
from headgate.core.op import op
from headgate.core.tensor import Tensor, tensor_of
from headgate.core.variable import Variable, detached
from headgate.record.errors import describe, refusal
from headgate.record.graph import ghost, state


def stop_gradient(x: Any, label: str | None = None) -> Any:
    """Return the same values, through which no gradient flows.

    Args:
        x: a tensor, variable, array or number, or a nested list, tuple or dict of them.
        label: shown in reports beside the line of this call.

    Returns:
        New tensors in the same structure. A variable in it is not watched by this use.

    >>> import headgate as hg
    >>> x, y = hg.Variable(2.0), hg.Variable(3.0)
    >>> with hg.GradientTape() as tape:
    ...     z = x * x + hg.stop_gradient(y) * x
    >>> dx, dy = tape.gradient(z, [x, y])
    >>> dx.numpy(), dy
    (np.float64(7.0), None)
    """
    if label is not None and not isinstance(label, str):
        raise refused("stop_gradient", "label", "a text", label, WrongType)
    if type(x) is Tensor or type(x) is Variable:
        return _stop(x, label)
    if x is None:
        raise refusal(TypeError, "stop_gradient got None: what made it returned nothing")
    return optree.tree_map(lambda leaf: _stop(leaf, label), x)


def _stop(x: Any, label: str | None) -> Tensor:
    array, live, cuts = detached(x)
    recording = state.recording
    if live or cuts:
        cuts |= recording.cuts.add("stop_gradient", live, cuts, label or "", array.shape)
    # An outer jax.grad or jit must see the stop as well, so JAX's own is emitted on its values.
    value = owner[type(array)].block_gradient(array)
    before = x.node if type(x) is Tensor else None
    result = tensor_of(value, ghost(recording, cuts, before))
    if recording.onlooker is not None:
        recording.onlooker.stopped(x, label or "", result)
    return result


def _times(g: Any, xp: Any, factor: Any) -> Any:
    """Multiply by a factor of the gradient as users see it."""
    if isinstance(factor, complex):
        return g * factor.conjugate()  # a Python number stays one
    dtype = getattr(factor, "dtype", None)
    return g * (xp.conj(factor) if dtype is not None and dtype.kind == "c" else factor)


def _clip_value_rule(g: Any, xp: Any, minimum: Any, maximum: Any) -> Any:
    if g.dtype.kind == "c":  # NumPy's order looks at the imaginary parts of equal real ones
        return xp.conj(xp.clip(xp.conj(g), minimum, maximum))
    return xp.clip(g, minimum, maximum)


def _clip_norm_rule(g: Any, xp: Any, norm: float) -> Any:
    squares = xp.sum(xp.real(g * xp.conj(g)))
    longer = squares > norm * norm
    # The root is taken of a number that is not 0, so that its own derivative is finite as well.
    factor = xp.where(longer, norm / xp.sqrt(xp.where(longer, squares, 1.0)), 1.0)
    return g * xp.astype(factor, g.dtype)


def _routed(xp: Any, x: Any, mask: Any) -> Any:
    if not _broadcasts(mask, x):
        raise ValueError("the mask does not broadcast to the shape of x")
    return x


def _scaled(xp: Any, x: Any, scale: Any) -> Any:
    if type(scale) is not float:
        if not _is_number(scale):
            raise TypeError(f"scale is a number, got {describe(scale)}")
        if shape_of(scale) and not _broadcasts(scale, x):
            raise ValueError(f"scale has the shape {shape_of(scale)}, which does not fit that of x")
    elif not -math.inf < scale < math.inf:
        raise ValueError(f"scale is a finite number, got {scale}")
    return x


def _broadcasts(factor: Any, x: Any) -> bool:
    try:
        return np.broadcast_shapes(shape_of(x), shape_of(factor)) == shape_of(x)
    except ValueError:
        return False


def _is_number(value: Any) -> bool:
    """Tell whether a value is a number or an array of numbers."""
    return isinstance(value, int | float | complex | Tensor | Variable) or is_array(value)


def _hard(xp: Any, hard: Any, soft: Any) -> Any:
    if shape_of(hard) != shape_of(soft):
        raise ValueError("hard and soft must have the same shape")
    return hard


scale_gradient = op(
    "scale_gradient(x, *, scale)",
    """Return x; its gradient is multiplied by `scale`.

    >>> x = hg.Variable(3.0)
    >>> with hg.GradientTape() as tape:
    ...     y = hg.scale_gradient(x, 0.5) * 4.0
    >>> tape.gradient(y, x).numpy()
    np.float64(2.0)
    """,
    lambda g, xp, scale: _times(g, xp, scale),
    impl=_scaled,
    views=True,
)

reverse_gradient = op(
    "reverse_gradient(x, *, scale=1.0)",
    """Return x; its gradient is multiplied by `-scale` (Ganin & Lempitsky 2015, arXiv:1409.7495).

    >>> x = hg.Variable(3.0)
    >>> with hg.GradientTape() as tape:
    ...     y = hg.reverse_gradient(x) * 4.0
    >>> tape.gradient(y, x).numpy()
    np.float64(-4.0)
    """,
    lambda g, xp, scale: _times(g, xp, -scale),
    impl=_scaled,
    views=True,
)

_clip_by_value = op(
    "clip_gradient_by_value(x, *, minimum, maximum)",
    "Return x; each element of its gradient is clipped.",
    _clip_value_rule,
    impl=lambda xp, x, *, minimum, maximum: x,
    views=True,
)

_clip_by_norm = op(
    "clip_gradient_by_norm(x, *, norm)",
    "Return x; its gradient is scaled down to at most this Euclidean norm.",
    _clip_norm_rule,
    impl=lambda xp, x, *, norm: x,
    views=True,
)


def clip_gradient(
    x: Any,
    minimum: float | None = None,
    maximum: float | None = None,
    *,
    norm: float | None = None,
) -> Tensor:
    """Return x; its gradient is clipped, by value or by its Euclidean norm.

    Args:
        x: a tensor, variable or array.
        minimum: least value of an element of the gradient.
        maximum: greatest value of an element of the gradient.
        norm: greatest norm of the whole gradient; excludes the other two.

    Raises:
        ValueError: neither or both ways are asked for, minimum > maximum, or norm <= 0.

    >>> import headgate as hg
    >>> x = hg.Variable([3.0, 4.0])
    >>> with hg.GradientTape(persistent=True) as tape:
    ...     by_value = hg.sum(hg.clip_gradient(x, -1.0, 1.0) ** 2)
    ...     by_norm = hg.sum(hg.clip_gradient(x, norm=1.0) ** 2)
    >>> tape.gradient(by_value, x).numpy(), tape.gradient(by_norm, x).numpy()
    (array([1., 1.]), array([0.6, 0.8]))
    """
    by_value = minimum is not None or maximum is not None
    if by_value == (norm is not None):
        raise refusal(
            ValueError,
            "clip_gradient clips either by minimum and maximum or by norm: give one of them",
        )
    for what, given in (("minimum", minimum), ("maximum", maximum), ("norm", norm)):
        if given is None or isinstance(given, float):
            if what != "norm" and given is not None and given != given:
                raise refused("clip_gradient", what, "a number", given)
            continue
        if not _is_number(given) or shape_of(given):
            raise refusal(
                ValueError if _is_number(given) else TypeError,
                f"clip_gradient: {what} is one number for all elements, got {describe(given)}",
            )
    if norm is not None:
        if not norm > 0:
            raise refusal(ValueError, f"clip_gradient: norm must be positive, got {norm}")
        return _clip_by_norm(x, norm=norm)
    if minimum is not None and maximum is not None and minimum > maximum:
        raise refusal(ValueError, f"clip_gradient: minimum {minimum} is above maximum {maximum}")
    return _clip_by_value(x, minimum=minimum, maximum=maximum)


route = op(
    "route(x, mask)",
    """Return x; its gradient is multiplied by `mask`, so it passes only where that is nonzero.

    >>> x = hg.Variable([1.0, 2.0, 3.0])
    >>> with hg.GradientTape() as tape:
    ...     y = hg.sum(hg.route(x, [1.0, 0.0, 0.5]) * 4.0)
    >>> tape.gradient(y, x).numpy()
    array([4., 0., 2.])
    """,
    lambda g, xp, mask: _times(g, xp, mask),
    None,
    impl=_routed,
    cut_kind="stop_gradient",
    views=True,
)

straight_through = op(
    "straight_through(hard, soft)",
    """Return `hard`; the gradient goes to `soft` as if that had been returned (arXiv:1308.3432).

    >>> x = hg.Variable([0.2, 0.7])
    >>> with hg.GradientTape() as tape:
    ...     y = hg.sum(hg.straight_through(hg.round(x), x) * 3.0)
    >>> y.numpy(), tape.gradient(y, x).numpy()
    (np.float64(3.0), array([3., 3.]))
    """,
    None,
    lambda g: g,
    impl=_hard,
    cut_kind="stop_gradient",
    views=True,
)
