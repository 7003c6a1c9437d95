"""Check gradients against finite differences.

`check_gradient` compares what the tape says with central finite differences, along one random
direction per argument and against one random cotangent per result. Both sides are then one number,

    <g, (f(x + h v) - f(x - h v)) / 2h>   =   <gradient of <g, f> at x, v>,

whatever the shapes are; any mistake in any element changes the right one. The inner product is the
real one, Re sum(conj(a) b), which is also what makes a gradient for complex values well defined.
The second order is the same check of the function "gradient of <g, f> at x", and forward mode must
agree with the right side as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from headgate.core.lift import as_tensor
from headgate.core.tensor import Tensor, constant


def check_gradient(
    f: Callable[..., Any],
    *arrays: Any,
    order: int = 2,
    wrt: Sequence[int] | None = None,
    forward: bool = True,
    step: float = 1e-5,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> None:
    """Check the gradients of a function of tensors against finite differences.

    `f` takes one tensor per array and returns a tensor or a (nested) list or tuple of tensors.
    Floating arrays are made float64 or complex128; arrays of other dtypes are passed on as they
    are. `wrt` has the positions of the arguments to differentiate by (default: every floating one).
    `order` is the highest order of derivative to check. With `forward`, `headgate.jvp` is checked
    as well. Points at which `f` has a kink cannot be checked so, and nor can a Hermitian matrix as
    the argument of `cholesky`, `eigh` or `eigvalsh`, whose gradient is Hermitian where differences
    change one triangle: check `lambda x: f((x + x.mT) / 2)`.

    Raises `AssertionError` with both numbers when they differ by more than `tolerance`, relative to
    the larger one (absolute below 1).

    >>> import headgate as hg
    >>> from headgate.testing import check_gradient
    >>> check_gradient(lambda x, y: hg.sin(x) * y, [0.5, 2.0], [[1.0], [3.0]])
    >>> check_gradient(lambda x: x * hg.stop_gradient(x), 3.0)
    Traceback (most recent call last):
      ...
    AssertionError: order 1: finite differences say ..., reverse mode says ...
    """
    values = [_widest(array) for array in arrays]
    floating = [k for k, value in enumerate(values) if _is_floating(value)]
    wrt = floating if wrt is None else [k % len(values) for k in wrt]
    fixed = [k for k in wrt if k not in floating]
    if fixed or not wrt:
        raise ValueError(
            f"nothing to differentiate by: positions {fixed or 'of floating arrays'} among "
            f"arguments of dtypes {[str(getattr(value, 'dtype', type(value))) for value in values]}"
        )

    def restricted(*chosen: Any) -> list[Tensor]:
        arguments: list[Any] = list(values)
        for k, value in zip(wrt, chosen):
            arguments[k] = value
        return _floating_results(f(*arguments))

    rng = np.random.default_rng(seed)
    points = [values[k] for k in wrt]
    for current in range(1, order + 1):
        restricted = _check_one(restricted, points, rng, current, step, tolerance, forward)


def _check_one(
    f: Callable[..., list[Tensor]],
    points: list[Any],
    rng: np.random.Generator,
    order: int,
    step: float,
    tolerance: float,
    forward: bool,
) -> Callable[..., list[Tensor]]:
    """Check the first derivative of `f`; return the function that computes it for one cotangent."""
    directions = [_random_like(point, rng) for point in points]
    results = _numbers(f(*map(constant, points)))
    if not results:
        raise ValueError("the function returns nothing of a floating dtype")
    cotangents = [_random_like(result, rng) for result in results]
    gradient = _gradient_of(f, cotangents)

    up, down = (
        _numbers(f(*(constant(x + sign * step * v) for x, v in zip(points, directions))))
        for sign in (1, -1)
    )
    slopes = [(after - before) / (2 * step) for after, before in zip(up, down)]
    expected = _inner(cotangents, slopes)
    reverse = _inner(_numbers(gradient(*map(constant, points))), directions)
    _agree(order, "finite differences say", expected, "reverse mode says", reverse, tolerance)
    if forward:
        from headgate.core.transforms import jvp

        _, tangents = jvp(f, points, directions)
        found = _inner(cotangents, _numbers(tangents))
        _agree(order, "reverse mode says", reverse, "forward mode says", found, tolerance)
    return gradient


def _gradient_of(
    f: Callable[..., list[Tensor]], cotangents: list[Any]
) -> Callable[..., list[Tensor]]:
    """Return the function "gradient of <cotangents, f>", with zeros for `None`."""
    from headgate.core.tape import GradientTape

    def gradient(*points: Any) -> list[Tensor]:
        tensors = [as_tensor(point) for point in points]
        with GradientTape() as tape:
            for tensor in tensors:
                tape.watch(tensor)
            results = f(*tensors)
        found = tape.gradient(results, tensors, output_gradients=cotangents)
        return [
            constant(np.zeros_like(tensor.value)) if part is None else part
            for part, tensor in zip(found, tensors)
        ]

    return gradient


def _agree(
    order: int, first: str, expected: float, second: str, found: float, tolerance: float
) -> None:
    """Raise unless two numbers agree; a NaN agrees with nothing."""
    scale = max(1.0, abs(expected), abs(found))
    if not abs(expected - found) <= tolerance * scale:
        raise AssertionError(
            f"order {order}: {first} {expected:.12g}, {second} {found:.12g} "
            f"(difference {abs(expected - found):.3g}, allowed {tolerance * scale:.3g})"
        )


def _widest(array: Any) -> Any:
    """Return a floating array in its widest dtype, anything else as it is."""
    if array is None or isinstance(array, str):
        return array
    value = np.asarray(array.value if isinstance(array, Tensor) else array)
    if value.dtype.kind == "c":
        return value.astype(np.complex128)
    return value.astype(np.float64) if value.dtype.kind == "f" else array


def _is_floating(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fc"


def _floating_results(result: Any) -> list[Tensor]:
    """Return the tensors of a result that can carry gradient, in order."""
    if isinstance(result, list | tuple):
        return [tensor for part in result for tensor in _floating_results(part)]
    tensor = as_tensor(result)
    return [tensor] if _is_floating(np.asarray(tensor.value)) else []


def _numbers(tensors: Any) -> list[Any]:
    return [np.asarray(tensor.value) for tensor in tensors]


def _random_like(value: Any, rng: np.random.Generator) -> Any:
    made = rng.standard_normal(value.shape)
    if value.dtype.kind == "c":
        made = made + 1j * rng.standard_normal(value.shape)
    return np.asarray(made, dtype=value.dtype)


def _inner(left: Sequence[Any], right: Sequence[Any]) -> float:
    return float(sum(np.sum(np.conj(a) * b).real for a, b in zip(left, right)))
