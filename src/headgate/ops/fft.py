"""Fourier transforms: the Array API's `fft` extension, and its names for two axes.

A transform is a symmetric matrix F, so its gradient is a transform of the cotangent: `F g`, of the
same direction and scale, since cotangents are not conjugated (`headgate.ops.rules`). Around it are
the two things that a call does besides: an axis that is cut or filled with zeros to a length n is
filled or cut back, and of a spectrum that is stored by half the other half has to be counted.

* `rfft` leaves the conjugated half away, so its cotangent is filled with zeros and transformed.
* `irfft` adds each stored number and its conjugate, so its gradient is the conjugated `rfft` of the
  cotangent, twice, but for the numbers that are their own counterpart: the first, and of an even
  length the last.

Four rows are all of it; what transforms one axis or two is the same with these axes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from headgate.core.checks import choice, number, on_host, whole, wholes
from headgate.core.lift import as_tensor
from headgate.core.namespace import Array
from headgate.core.op import op, public
from headgate.core.tensor import Tensor, constant
from headgate.ops.elementwise import conj
from headgate.ops.rules import floats, is_half, normal_axes, refuse_complex
from headgate.ops.shape import roll

Axes = tuple[int, ...]

_OTHER = {"backward": "forward", "forward": "backward", "ortho": "ortho"}
"""The scale of a transform -> that of its inverse."""


def _plan(shape: Sequence[int], s: Any, axes: Any, halved: bool = False) -> tuple[Axes, Axes]:
    """Return the axes to transform, from 0, and the length of each; `halved`, as half a spectrum.

    Left out, the axes are all, or the last ones that there are lengths for.
    """
    if axes is None:
        count = len(shape) if s is None else len(s)
        chosen = tuple(range(len(shape) - count, len(shape)))
        if count > len(shape):
            raise ValueError(f"s has {count} lengths, and x the shape {tuple(shape)}")
    else:
        chosen = normal_axes(tuple(axes), len(shape))
    if s is None:
        lengths = tuple(shape[axis] for axis in chosen)
        if halved and chosen:
            lengths = (*lengths[:-1], 2 * (lengths[-1] - 1))
    else:
        lengths = wholes("fft", "s", s)
    if len(lengths) != len(chosen):
        raise ValueError(f"s must have a length for each axis: {len(chosen)}, not {len(lengths)}")
    if any(length < 1 for length in lengths):
        raise ValueError(f"there must be at least one point to transform, and there are {lengths}")
    return chosen, lengths


def _by_name(name: str) -> Callable[..., Array]:
    def transform(xp: Any, x: Array, s: Any, axes: Any, norm: str) -> Array:
        x = floats(xp.asarray(x))
        if name == "rfftn":
            refuse_complex(x)
        if is_half(x):
            x = x.astype(np.float32)
        choice(name, "norm", norm, _OTHER)
        axes, lengths = _plan(x.shape, s, axes, halved=name == "irfftn")
        if not axes:
            return xp.real(x) if name == "irfftn" else x.astype(np.result_type(x.dtype, 1j))
        return getattr(xp.array_module.fft, name)(x, lengths, axes, norm)

    return transform


def _fitted(xp: Any, x: Any, axes: Axes, lengths: Sequence[int]) -> Any:
    """Cut axes to lengths, or fill them with zeros."""
    key, widths = [slice(None)] * x.ndim, [(0, 0)] * x.ndim
    for axis, length in zip(axes, lengths, strict=True):
        key[axis] = slice(min(length, x.shape[axis]))
        widths[axis] = (0, max(length - x.shape[axis], 0))
    x = x[tuple(key)]
    return xp.pad(x, widths, "constant", 0) if any(after for _, after in widths) else x


def _fitted_back(xp: Any, c: Any, axes: Axes, shape: Sequence[int]) -> Any:
    return _fitted(xp, c, axes, [shape[axis] for axis in axes])


def _spectrum_rule(name: str) -> Callable[..., Any]:
    def rule(g: Any, xp: Any, x_shape: Any, s: Any, axes: Any, norm: str) -> Any:
        axes, lengths = _plan(x_shape, s, axes)
        c = getattr(xp, name)(g, lengths, axes, norm)
        return _fitted_back(xp, c, axes, x_shape)

    return rule


def _rfftn_rule(g: Any, xp: Any, x_shape: Any, s: Any, axes: Any, norm: str) -> Any:
    axes, lengths = _plan(x_shape, s, axes)
    c = xp.fftn(_fitted(xp, g, axes, lengths), lengths, axes, norm)
    return _fitted_back(xp, c, axes, x_shape)


def _irfftn_rule(g: Any, xp: Any, x_shape: Any, s: Any, axes: Any, norm: str) -> Any:
    axes, lengths = _plan(x_shape, s, axes, halved=True)
    if not axes:
        return g
    last, length = axes[-1], lengths[-1]
    half = xp.conj(xp.rfftn(g, (length,), (last,), _OTHER[norm]))
    counted = np.full(half.shape[last], 2, g.dtype)
    counted[0] = 1
    if length % 2 == 0:
        counted[-1] = 1
    c = half * counted.reshape([-1 if axis == last else 1 for axis in range(g.ndim)])
    c = xp.ifftn(c, lengths[:-1], axes[:-1], norm)
    return _fitted_back(xp, c, axes, x_shape)


fftn = op(
    "fftn(x, *, s=None, axes=None, norm='backward')",
    """Transform several axes, by default all; each is first cut or filled to its length in s.

    >>> hg.fft.fftn(hg.eye(2))
    Tensor([[2.+0.j, 0.+0.j],
            [0.+0.j, 2.+0.j]], shape=(2, 2), dtype=complex128)
    """,
    _spectrum_rule("fftn"),
    impl=_by_name("fftn"),
    lists=("s", "axes"),
)

ifftn = op(
    "ifftn(x, *, s=None, axes=None, norm='backward')",
    """Transform several axes back: the inverse of `fftn`.

    >>> hg.fft.ifftn(hg.eye(2))
    Tensor([[0.5+0.j, 0. +0.j],
            [0. +0.j, 0.5+0.j]], shape=(2, 2), dtype=complex128)
    """,
    _spectrum_rule("ifftn"),
    impl=_by_name("ifftn"),
    lists=("s", "axes"),
)

rfftn = op(
    "rfftn(x, *, s=None, axes=None, norm='backward')",
    """Transform real numbers; of the last axis half of the spectrum is kept.

    >>> hg.fft.rfftn(hg.ones((2, 4))).shape
    (2, 3)
    """,
    _rfftn_rule,
    impl=_by_name("rfftn"),
    lists=("s", "axes"),
)

irfftn = op(
    "irfftn(x, *, s=None, axes=None, norm='backward')",
    """Transform what `rfftn` gives back to real numbers; of the last axis `2 * (size - 1)`.

    >>> hg.fft.irfftn(hg.fft.rfftn(hg.ones((1, 4))))
    Tensor([[1., 1., 1., 1.]], shape=(1, 4), dtype=float64)
    """,
    _irfftn_rule,
    impl=_by_name("irfftn"),
    lists=("s", "axes"),
)


# -- one axis, two axes ----------------------------------------------------------------------------


def _along(row: Callable[..., Tensor], x: Any, n: int | None, axis: int, norm: str) -> Tensor:
    return row(x, s=None if n is None else (n,), axes=(axis,), norm=norm)


@public
def fft(x: Any, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Transform an axis by the discrete Fourier transform of n points.

    >>> hg.fft.fft([1.0, 0.0])
    Tensor([1.+0.j, 1.+0.j], shape=(2,), dtype=complex128)
    """
    return _along(fftn, x, n, axis, norm)


@public
def ifft(x: Any, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Transform an axis back: the inverse of `fft`.

    >>> hg.fft.ifft([1.0, 1.0])
    Tensor([1.+0.j, 0.+0.j], shape=(2,), dtype=complex128)
    """
    return _along(ifftn, x, n, axis, norm)


@public
def rfft(x: Any, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Transform an axis of real numbers to half of its spectrum, `n // 2 + 1` numbers.

    >>> hg.fft.rfft([1.0, 0.0])
    Tensor([1.+0.j, 1.+0.j], shape=(2,), dtype=complex128)
    """
    return _along(rfftn, x, n, axis, norm)


@public
def irfft(x: Any, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Transform half a spectrum back to n real numbers, by default `2 * (size - 1)`.

    >>> hg.fft.irfft([1.0, 1.0])
    Tensor([1., 0.], shape=(2,), dtype=float64)
    """
    return _along(irfftn, x, n, axis, norm)


@public
def hfft(x: Any, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Transform half of a signal that equals its conjugate in reverse: its spectrum is real.

    >>> hg.fft.hfft([1.0, 1.0])
    Tensor([2., 0.], shape=(2,), dtype=float64)
    """
    choice("hfft", "norm", norm, _OTHER)
    return _along(irfftn, conj(x), n, axis, _OTHER[norm])


@public
def ihfft(x: Any, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Transform a real spectrum back to half of its signal: the inverse of `hfft`.

    >>> hg.fft.ihfft([2.0, 0.0])
    Tensor([1.-0.j, 1.-0.j], shape=(2,), dtype=complex128)
    """
    choice("ihfft", "norm", norm, _OTHER)
    return conj(_along(rfftn, x, n, axis, _OTHER[norm]))


@public
def fft2(x: Any, s: Any = None, axes: Any = (-2, -1), norm: str = "backward") -> Tensor:
    """Transform two axes, as `fftn` does.

    >>> hg.fft.fft2(hg.ones((3, 2, 2))).shape
    (3, 2, 2)
    """
    return fftn(x, s=s, axes=axes, norm=norm)


@public
def ifft2(x: Any, s: Any = None, axes: Any = (-2, -1), norm: str = "backward") -> Tensor:
    """Transform two axes back, as `ifftn` does.

    >>> hg.fft.ifft2(hg.ones((3, 2, 2))).shape
    (3, 2, 2)
    """
    return ifftn(x, s=s, axes=axes, norm=norm)


@public
def rfft2(x: Any, s: Any = None, axes: Any = (-2, -1), norm: str = "backward") -> Tensor:
    """Transform two axes of real numbers, as `rfftn` does.

    >>> hg.fft.rfft2(hg.ones((3, 2, 2))).shape
    (3, 2, 2)
    """
    return rfftn(x, s=s, axes=axes, norm=norm)


@public
def irfft2(x: Any, s: Any = None, axes: Any = (-2, -1), norm: str = "backward") -> Tensor:
    """Transform two axes of a spectrum to real numbers, as `irfftn` does.

    >>> hg.fft.irfft2(hg.ones((3, 2, 2))).shape
    (3, 2, 2)
    """
    return irfftn(x, s=s, axes=axes, norm=norm)


# -- frequencies and their order -------------------------------------------------------------------


def _rolled(x: Any, axes: Any, by: Callable[[int], int]) -> Tensor:
    x = as_tensor(x)
    chosen = normal_axes(axes, x.ndim)
    return roll(x, tuple(by(x.shape[axis]) for axis in chosen), chosen) if chosen else x


@public
def fftshift(x: Any, axes: Any = None) -> Tensor:
    """Move the frequency 0 to the middle of axes, by default of all.

    >>> hg.fft.fftshift([0.0, 1.0, 2.0, -2.0, -1.0])
    Tensor([-2., -1.,  0.,  1.,  2.], shape=(5,), dtype=float64)
    """
    return _rolled(x, axes, lambda size: size // 2)


@public
def ifftshift(x: Any, axes: Any = None) -> Tensor:
    """Move the frequency 0 from the middle of axes to their beginning.

    >>> hg.fft.ifftshift([-2.0, -1.0, 0.0, 1.0, 2.0])
    Tensor([ 0.,  1.,  2., -2., -1.], shape=(5,), dtype=float64)
    """
    return _rolled(x, axes, lambda size: -(size // 2))


@public
def fftfreq(n: int, d: float = 1.0, dtype: Any = None, device: Any = None) -> Tensor:
    """Return the frequencies of `fft`, for n samples at a distance d.

    >>> hg.fft.fftfreq(4, 0.5)
    Tensor([ 0. ,  0.5, -1. , -0.5], shape=(4,), dtype=float64)
    """
    n = whole("fftfreq", "n", n, 1)
    on_host("fftfreq", device)
    return constant(np.fft.fftfreq(n, number("fftfreq", "d", d)).astype(dtype or float))


@public
def rfftfreq(n: int, d: float = 1.0, dtype: Any = None, device: Any = None) -> Tensor:
    """Return the frequencies of `rfft`, for n samples at a distance d.

    >>> hg.fft.rfftfreq(4, 0.5)
    Tensor([0. , 0.5, 1. ], shape=(3,), dtype=float64)
    """
    n = whole("rfftfreq", "n", n, 1)
    on_host("rfftfreq", device)
    return constant(np.fft.rfftfreq(n, number("rfftfreq", "d", d)).astype(dtype or float))
