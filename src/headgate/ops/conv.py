"""Convolution, over one to three axes of space.

It is bilinear, so its calculus closes over three rows. Input `x`, weights `w` and result `y` meet
in products x[p] w[k] y[o], where p = o * stride + k * dilation - padding. Each row is given two of
the three factors and adds up their products for the third:

    convolution             y[o] = sum over k of x[p] w[k]
    transposed_convolution  x[p] = sum over k of y[o] w[k]
    convolution_weights     w[k] = sum over o of x[p] y[o]

The rules of each row are the other two: the gradient of a convolution for its input *is* the
transposed convolution, and derivatives of any order follow. The public functions turn their options
into a `Plan`, once; the rows and their rules only pass it on. What computes on NumPy is in
`headgate.ops.conv_numpy`; other namespaces bring their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headgate.core.checks import affordable, wholes
from headgate.core.lift import as_tensor
from headgate.core.op import op, public
from headgate.core.tensor import Tensor
from headgate.ops import conv_numpy
from headgate.ops.windows import (
    Option,
    Pair,
    Plan,
    Shape,
    axes_of,
    counts,
    options_of,
    refused,
    remembered,
    sizes_of,
    windows_of,
)

# -- the rows -------------------------------------------------------------------------------------

convolution = op(
    "convolution(x, w, *, plan)",
    "Convolve x with weights w; `conv` makes the plan.",
    lambda g, xp, w, plan: xp.transposed_convolution(g, w, plan=plan),
    lambda g, xp, x, plan: xp.convolution_weights(x, g, plan=plan),
    impl_numpy=conv_numpy.convolution,
)

transposed_convolution = op(
    "transposed_convolution(y, w, *, plan)",
    "Send each element of a convolution's result back to the elements it was computed from.",
    lambda g, xp, w, plan: xp.convolution(g, w, plan=plan),
    lambda g, xp, y, plan: xp.convolution_weights(g, y, plan=plan),
    impl_numpy=conv_numpy.transposed_convolution,
)

convolution_weights = op(
    "convolution_weights(x, y, *, plan)",
    "Add up, for each weight of a convolution, the products of the x and y that it connects.",
    lambda g, xp, y, plan: xp.transposed_convolution(y, g, plan=plan),
    lambda g, xp, x, plan: xp.convolution(x, g, plan=plan),
    impl_numpy=conv_numpy.convolution_weights,
)


# -- options to plans -----------------------------------------------------------------------------


def _plan_axes(
    name: str, x: Shape, w: Shape, groups: Any, layout: str | None, transposed: bool
) -> tuple[Shape, int]:
    """Return the axes of space and that of channels, once shapes and groups are known to fit."""
    axes, channel = axes_of(name, x, layout)
    if len(w) != len(x):
        raise refused(
            name,
            f"weights for x of shape {x} must have {len(x)} axes, one of kernel for each axis of "
            f"space and then two of channels, got shape {w}",
        )
    if not counts(groups, 1) or w[-1] % groups:
        raise refused(
            name,
            "groups must be a positive integer that divides the last axis of the weights, of "
            f"shape {w}, got groups={groups!r}",
        )
    takes = w[-1] if transposed else w[-2] * groups
    if x[channel] != takes:
        raise refused(
            name,
            f"weights of shape {w} with groups={groups} take {takes} channels, but x of shape {x} "
            f"has {x[channel]}, on axis {channel}; if its channels are on another axis, say so "
            "with layout=",
        )
    return axes, channel


@remembered
def _plan(
    x: Shape, w: Shape, stride: Any, padding: Any, dilation: Any, groups: Any, layout: str | None
) -> Plan:
    """Return the plan of a convolution of arrays of these shapes."""
    axes, channel = _plan_axes("conv", x, w, groups, layout, transposed=False)
    options = options_of("conv", axes, padding, size=w[:-2], stride=stride, dilation=dilation)
    return Plan(windows_of("conv", x, axes, options), int(groups), channel)


@remembered
def _plan_transposed(
    x: Shape,
    w: Shape,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    layout: str | None,
    output_shape: Any,
    output_padding: Any,
) -> Plan:
    """Return the plan of the convolution whose transpose is to be applied to x."""
    name = "conv_transpose"
    axes, channel = _plan_axes(name, x, w, groups, layout, transposed=True)
    options = options_of(name, axes, padding, size=w[:-2], stride=stride, dilation=dilation)
    numbers = [x[axis] for axis in axes]
    channels = w[-2] * groups
    extra: Sequence[int | None] = [None] * len(axes)
    if output_padding is not None:
        extra = sizes_of(name, "output_padding", output_padding, axes, least=0)
    space = list(map(Option.grown, options, numbers, extra))
    if output_shape is not None:
        given = list(wholes(name, "output_shape", output_shape))
        whole = len(given) == len(x) and (given[0], given[channel]) == (x[0], channels)
        space = [given[axis] for axis in axes] if whole else given
    affordable(name, "stride", (x[0], *map(abs, space), channels))
    windows = tuple(map(Option.over, options, space))
    fits = len(space) == len(axes) and min(space) > 0
    if not fits or [window.number for window in windows] != numbers:
        least = list(map(Option.least, options, numbers))
        raise refused(
            name,
            f"x of shape {x} and weights of shape {w} with strides "
            f"{[option.stride for option in options]} give {x[0]} examples of {channels} channels "
            f"with a space of {least}, or up to stride - 1 more; they cannot give "
            f"output_shape={output_shape}, output_padding={output_padding} (space {space})",
        )
    return Plan(windows, int(groups), channel)


# -- public functions ------------------------------------------------------------------------------


@public
def conv(
    x: Any,
    w: Any,
    *,
    stride: int | Sequence[int] = 1,
    padding: str | Sequence[Pair] = "VALID",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    layout: str | None = None,
) -> Tensor:
    """Convolve over the axes of space, without flipping the kernel (as neural networks do).

    Args:
        x: (batch, *space, channels) with one to three axes of space, or (batch, channels, *space)
            if `layout` says so.
        w: weights (*kernel, channels / groups, filters), for either layout.
        stride: steps between windows: one for all axes of space, or one for each.
        padding: "VALID" for none, "SAME" for ceil(space / stride) windows (what is odd goes to the
            end), or a (low, high) pair for each axis of space.
        dilation: steps between the elements of a window.
        groups: in how many parts channels and filters are split; each part sees only its own.
        layout: "NWC", "NCW", "NHWC", "NCHW", "NDHWC" or "NCDHW"; channels are last if left out.

    Returns:
        (batch, *positions, filters), or with the filters on axis 1, as in `x`.

    Raises:
        ValueError: if shapes or options do not fit each other.

    >>> import headgate as hg
    >>> images, weights = hg.ones((32, 28, 28, 1)), hg.ones((3, 3, 1, 16))
    >>> hg.conv(images, weights, stride=2, padding="SAME").shape
    (32, 14, 14, 16)
    """
    x, w = as_tensor(x), as_tensor(w)
    plan = _plan(x.shape, w.shape, stride, padding, dilation, groups, layout)
    return convolution(x, w, plan=plan)


@public
def conv_transpose(
    x: Any,
    w: Any,
    *,
    stride: int | Sequence[int] = 1,
    padding: str | Sequence[Pair] = "VALID",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    layout: str | None = None,
    output_shape: Sequence[int] | None = None,
    output_padding: int | Sequence[int] | None = None,
) -> Tensor:
    """Apply the transpose of a convolution: what `conv` does to gradients, done to values.

    Args:
        x: (batch, *space, filters), or (batch, filters, *space) if `layout` says so.
        w: weights (*kernel, channels / groups, filters): those of the convolution to transpose.
        stride: by how much the space grows: one for all of its axes, or one for each.
        padding, dilation, groups, layout: those of the convolution to transpose; see `conv`.
        output_shape: shape of the result, or of its space only: a stride of more than one leaves a
            choice. Left out, it is what Keras chooses: space * stride for "SAME" padding, else the
            least that is possible, but no less than space * stride minus the padding.
        output_padding: in place of `output_shape`, what is added to the least size, as in Keras.

    Returns:
        (batch, *space of the result, channels), or with the channels on axis 1, as in `x`.

    Raises:
        ValueError: if shapes or options do not fit each other.

    >>> import headgate as hg
    >>> codes, weights = hg.ones((8, 7, 7, 64)), hg.ones((3, 3, 32, 64))
    >>> hg.conv_transpose(codes, weights, stride=2, padding="SAME").shape
    (8, 14, 14, 32)
    """
    x, w = as_tensor(x), as_tensor(w)
    options = (stride, padding, dilation, groups, layout, output_shape, output_padding)
    plan = _plan_transposed(x.shape, w.shape, *options)
    return transposed_convolution(x, w, plan=plan)
