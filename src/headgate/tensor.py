"""Tensor: a raw array and, if a tape follows it, the node that says where it came from.

Value and graph are separate objects. A tensor is immutable; `node is None` means a constant without
a history. Tensors are made by `asarray`, by ops and by reading variables; their operators and
methods are attached in `headgate.operators`, the one place where that happens.

A value may leave for the host (`float(x)`, `x.numpy()`, `numpy.asarray(x)`). What comes back from
there is a constant, so such an **escape** of a watched value is noted as a cut of the kind
`host_round_trip`, in case somebody asks later where the gradient went.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from headgate.graph import Node, refusal
from headgate.namespace import Array, is_array, owner


class Tensor:
    """An immutable array on which ops are recorded; made by `headgate.asarray` and by every op.

    >>> import headgate as hg
    >>> x = hg.asarray([1.0, 2.0])
    >>> x.shape, x.dtype, (x * x).numpy()
    ((2,), dtype('float64'), array([1., 4.]))
    """

    __slots__ = ("__weakref__", "node", "value")

    value: Array
    node: Node | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of all axes."""
        return self.value.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements."""
        return self.value.dtype  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.value.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.value.size  # type: ignore[no-any-return]

    @property
    def device(self) -> Any:
        """Where the array lives: "cpu" for NumPy, a `jax.Device` for JAX."""
        return self.value.device

    def numpy(self) -> Any:
        """Return a copy as a NumPy array, or a NumPy scalar if 0-d; gradient does not follow it.

        >>> import headgate as hg
        >>> hg.sum(hg.asarray([1.0, 2.0])).numpy()
        np.float64(3.0)
        """
        self._escape("numpy()")
        return np.array(self.value)[()]

    def item(self) -> Any:
        """Return the only element as a Python number; gradient does not follow it."""
        self._escape("item()")
        return self.value.item()

    def tolist(self) -> Any:
        """Return the elements as nested Python lists; gradient does not follow them."""
        self._escape("tolist()")
        return self.value.tolist()

    def ref(self) -> Reference:
        """Return a hashable stand-in that compares by identity, for sets and dictionary keys."""
        return Reference(self)

    def _escape(self, how: str) -> None:
        if self.node is not None:
            note_escape(self.node, "host_round_trip", how, self.value.shape)

    def __float__(self) -> float:
        self._escape("float()")
        return float(self.value)

    def __int__(self) -> int:
        self._escape("int()")
        return int(self.value)

    def __complex__(self) -> complex:
        self._escape("complex()")
        return complex(self.value)

    def __bool__(self) -> bool:
        self._escape("bool()")
        if self.value.size != 1:
            raise refusal(
                ValueError,
                f"the truth value of a tensor of shape {self.shape} is ambiguous; "
                "use headgate.any(x) or headgate.all(x), or headgate.where(condition, a, b)",
            )
        try:
            return bool(self.value)
        except Exception as error:
            if is_array(self.value) and "Tracer" in type(error).__name__:
                raise refusal(
                    TypeError,
                    f"Python branching (`if`, `while`, `and`, `or`) on a traced tensor of shape "
                    f"{self.shape}, dtype {self.dtype}: its value is not known while a function is "
                    "being traced; choose with headgate.where(condition, a, b) instead",
                ) from error
            raise

    def __index__(self) -> int:
        return self.value.__index__()  # type: ignore[no-any-return]

    def __len__(self) -> int:
        if not self.value.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self.value.shape[0]  # type: ignore[no-any-return]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        self._escape("numpy.asarray()")
        array = np.array(self.value, dtype=dtype, copy=True if copy else None)
        if array is self.value:
            array = array.view()
            array.flags.writeable = False
        return array

    def __repr__(self) -> str:
        body = np.array2string(np.asarray(self.value), separator=", ", prefix="Tensor(")
        return f"Tensor({body}, shape={self.shape}, dtype={self.dtype})"

    def __format__(self, spec: str) -> str:
        if not spec:
            return str(self)
        self._escape("format()")
        return format(self.value.item() if self.value.ndim == 0 else self.value, spec)

    def __hash__(self) -> int:
        raise TypeError("Tensor is unhashable. Instead, use tensor.ref() as the key.")

    def __copy__(self) -> Tensor:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        self._escape("copy.deepcopy()")
        return constant(np.array(self.value) if isinstance(self.value, np.ndarray) else self.value)

    def __reduce__(self) -> tuple[Any, ...]:
        self._escape("pickle")
        return constant, (np.asarray(self.value),)


class Reference:
    """Hashable stand-in for a tensor or variable, equal to another one of the same object."""

    __slots__ = ("_object",)

    def __init__(self, obj: Any) -> None:
        self._object = obj

    def deref(self) -> Any:
        """Return the object."""
        return self._object

    def __hash__(self) -> int:
        return id(self._object)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and self._object is other._object

    def __repr__(self) -> str:
        return f"<Reference to {self._object!r}>"


def note_escape(node: Node | None, kind: str, how: str, shape: tuple[int, ...]) -> None:
    """Note that a watched value goes on where no tape can follow it."""
    if node is not None and (node.live or node.cuts):
        recording = node.recording
        recording.escapes |= recording.cut(kind, node.live, node.cuts, how, shape)


def tensor_of(value: Array, node: Node | None) -> Tensor:
    """Pair a raw array with its node."""
    made = Tensor()
    made.value = value
    made.node = node
    return made


def constant(value: Array) -> Tensor:
    """Wrap a raw array as a tensor without a history."""
    made = Tensor()
    made.value = value
    made.node = None
    return made


_NUMERIC = "biufc"


def raw(value: Any, dtype: Any = None, what: str = "value") -> Array:
    """Convert numbers, nested lists and arrays to a raw array; refuse what is not numeric.

    Arrays of a known library stay as they are (not copied). `bfloat16` and the like, which NumPy
    knows only through ml_dtypes, count as numeric.
    """
    if value is None:
        raise refusal(TypeError, f"{what} is None, which is no tensor")
    if is_array(value):
        array = value if dtype is None else value.astype(dtype)
    else:
        try:
            array = np.asarray(value, dtype=dtype)
        except (ValueError, TypeError) as error:
            raise refusal(
                type(error),
                f"cannot convert {what} of type {type(value).__name__!r} to a tensor: {error}"
                + ("; all rows must have the same length" if "inhomogeneous" in str(error) else ""),
            ) from None
    if isinstance(array, np.ndarray | np.generic):
        kind = array.dtype.kind
        if kind not in _NUMERIC and not (kind == "V" and array.dtype.names is None):
            raise refusal(
                ValueError,
                f"cannot convert {what} of type {type(value).__name__!r} to a tensor: "
                f"its elements have the dtype {array.dtype}, and tensors hold numbers or booleans",
            )
    else:
        owner[type(array)]
    return array
