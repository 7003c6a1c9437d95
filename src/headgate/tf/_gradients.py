"""What changes a gradient and not a value, and what a missing one becomes."""

from __future__ import annotations

from enum import Enum
from typing import Any

import headgate.core.custom as _custom
from headgate.core import variable as _variable
from headgate.core.gates import stop_gradient as _stop_gradient
from headgate.core.namespace import TENSORS as ops
from headgate.core.tensor import Tensor
from headgate.tf._adapt import IndexedSlices, convert_to_tensor, tensor


class UnconnectedGradients(Enum):
    """What `gradient` gives for a source that the target does not depend on: None or zeros."""

    NONE = "none"
    ZERO = "zero"


def stop_gradient(input: Any, name: str | None = None) -> Any:
    """Return the same value, through which no gradient flows; a list of tensors is stacked.

    >>> import headgate.tf as tf
    >>> x = tf.Variable(2.0)
    >>> with tf.GradientTape() as tape:
    ...     y = x * tf.stop_gradient(x)
    >>> tape.gradient(y, x).numpy()
    np.float32(2.0)
    """
    if type(input) is IndexedSlices:
        parts = (input.values, input.indices, input.dense_shape)
        return IndexedSlices(*(part if part is None else stop_gradient(part) for part in parts))
    if type(input) is not Tensor and type(input) is not _variable.Variable:
        input = convert_to_tensor(input)
    return _stop_gradient(input, name)


def identity(input: Any, name: str | None = None) -> Tensor:
    """Return the same value as a new tensor."""
    return ops.identity(tensor(input))  # type: ignore[no-any-return]


def custom_gradient(f: Any = None) -> Any:
    """Decorate a function that gives its own gradient; see `headgate.custom_gradient`."""
    return _custom.custom_gradient(f)
