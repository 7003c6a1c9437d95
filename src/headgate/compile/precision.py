"""Precision: how exactly float32 is multiplied where that can be chosen: on an accelerator.

The names are those of JAX, of which PyTorch has two with the same meaning. A function has its own
precision, or that of all. The one of all is set in each executor, for what is computed at once,
and held here as a setting, which every function without its own reads when it is traced: set to
another one it makes another signature (`headgate.core.settings`).
"""

from __future__ import annotations

from headgate.compile.executor import EXECUTORS, load
from headgate.core.checks import choice
from headgate.core.scope import stage
from headgate.core.settings import Settled
from headgate.record.errors import TracingError, refusal

PRECISIONS = ("default", "high", "highest")


class _Products(Settled):
    """The setting that functions read."""

    name = "headgate"
    matmul_precision: str | None = None  # as each executor has it


products = _Products()


def set_matmul_precision(precision: str) -> None:
    """Choose how exactly float32 is multiplied on an accelerator, from now on.

    That is for products of matrices and convolutions, eager on JAX arrays and in compiled functions
    without a `precision` of their own, which are compiled anew, with their gradients. It sets JAX's
    own `jax_default_matmul_precision`, so functions of JAX have it too. On a CPU, and for other
    dtypes than float32, all three are the same.

    Args:
        precision: "highest": all digits of float32. "high": fewer, on an NVIDIA GPU those of TF32
            (10 bits; a relative error of some 3e-4). "default": what is fastest on the device: TF32
            on an NVIDIA GPU.

    Raises:
        ValueError: another name.
        TracingError: called while a function is traced.

    >>> import headgate as hg
    >>> product = hg.function(lambda x: hg.matmul(x, x))
    >>> x = hg.ones((2, 2), dtype="float32")
    >>> hg.set_matmul_precision("highest")
    >>> "HIGHEST" in product.lower_text(x)
    True
    >>> hg.set_matmul_precision("default")
    >>> "HIGHEST" in product.lower_text(x)
    False
    """
    chosen = choice("set_matmul_precision", "precision", precision, PRECISIONS)
    if stage.scope is not None:
        raise refusal(
            TracingError,
            "set_matmul_precision is for all that is computed from now on: call it before the "
            'function runs, or give the function its own, headgate.function(precision="highest")',
        )
    for name in EXECUTORS:
        load(name).set_precision(chosen)
    products.matmul_precision = chosen
