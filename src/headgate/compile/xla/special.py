"""Special functions on JAX's arrays, by the table of names in `headgate.ops.special`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from headgate.core.namespace import Array
from headgate.ops.rules import is_half, refuse_complex
from headgate.ops.special import OF_LIBRARY


def _erfcinv(x: Array) -> Array:
    """Compute what JAX has no function for; `erfinv(1 - x)` would lose small x."""
    from jax.scipy.special import ndtri

    return ndtri(x / 2) * -math.sqrt(0.5)


_FAR = 25.0


def _erfcx(x: Array) -> Array:
    """Compute what JAX 0.10 returns 0 for where erfc(x) has just become 0; a series beyond."""
    import jax.numpy as jnp
    from jax.scipy.special import erfcx

    far = x > _FAR
    over = jnp.where(far, x, 1) ** -2
    series = 1 - over / 2 * (1 - over * 3 / 2 * (1 - over * 5 / 2 * (1 - over * 7 / 2)))
    return jnp.where(far, series / (x * math.sqrt(math.pi)), erfcx(jnp.where(far, 1, x)))


def _polygamma(n: Array, x: Array) -> Array:
    """Compute it for numbers n that became floating beside x, which JAX refuses."""
    import jax.numpy as jnp
    from jax.scipy.special import gammaln

    sign = jnp.where(n % 2 == 0, -1, 1)
    found = sign * jnp.exp(gammaln(n + 1)) * _zeta(n + 1, x)
    return jnp.where(n == 0, _digamma(x), found)


def _zeta(x: Array, q: Array) -> Array:
    import jax.numpy as jnp
    from jax.scipy.special import zeta

    pole = (q <= 0) & (q == jnp.floor(q)) & (x == x)
    found = jnp.where(pole, jnp.inf, zeta(x, jnp.where(pole, 1, q)))
    return jnp.where((q == jnp.inf) & (x > 1), 0, found)


def _digamma(x: Array) -> Array:
    import jax.numpy as jnp
    from jax.scipy.special import digamma

    return jnp.where(x == 0, -1 / x, digamma(x))


def _corrected(name: str, *places: tuple[Callable[..., Array], float]) -> Callable[..., Array]:
    """Return a function of JAX's that is SciPy's where it has NaN or another infinity."""

    def compute(*arrays: Array) -> Array:
        import jax.numpy as jnp
        import jax.scipy.special as home

        found = getattr(home, name)(*arrays)
        for place, value in places:
            found = jnp.where(place(*arrays), value, found)
        return found

    return compute


_INF = math.inf

_OWN: dict[str, Callable[..., Array]] = {
    "erfcinv": _erfcinv,
    "erfcx": _erfcx,
    "polygamma": _polygamma,
    "zeta": _zeta,
    "digamma": _digamma,
    "gammaln": _corrected("gammaln", (lambda x: x == -_INF, -_INF)),
    "betaln": _corrected("betaln", (lambda a, b: (a * b == 0) & (a >= 0) & (b >= 0), _INF)),
    "gammainc": _corrected(
        "gammainc",
        (lambda a, x: (a == 0) & (x > 0), 1),
        (lambda a, x: (a == _INF) & (x >= 0) & (x < _INF), 0),
    ),
    "gammaincc": _corrected(
        "gammaincc",
        (lambda a, x: (a == 0) & (x > 0), 0),
        (lambda a, x: (a == _INF) & (x >= 0) & (x < _INF), 1),
    ),
    "expi": _corrected(
        "expi",
        (lambda x: x == 0, -_INF),
        (lambda x: x == _INF, _INF),
        (lambda x: x == -_INF, -0.0),
    ),
    "exp1": _corrected("exp1", (lambda x: x == _INF, 0)),
}
"""What JAX has no function for, or one that differs at the borders of its domain."""


def _of_jax(name: str) -> Callable[..., Array]:
    """Return an implementation by a function of JAX's, halves in float32."""

    def compute(xp: Any, *arrays: Array) -> Array:
        import jax.scipy.special as home

        for x in arrays:
            refuse_complex(x)
        dtype = xp.array_module.result_type(*arrays)
        wide = np.float32 if is_half(np.empty(0, dtype)) else dtype
        given = [xp.asarray(x, dtype=wide) for x in arrays]
        found = _OWN[name](*given) if name in _OWN else getattr(home, name)(*given)
        return found.astype(dtype)

    return compute


OVERRIDES = {row: _of_jax(name) for row, name in OF_LIBRARY.items()}
