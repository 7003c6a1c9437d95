"""Tensor: a raw array and, if a tape follows it, the node that says where it came from.

Value and graph are separate objects. A tensor is immutable; `node is None` means a constant without
a history. Tensors are made by `asarray`, by ops and by reading variables; their operators and
methods are attached in `headgate.ops.operators`, the one place where that happens.

A value may leave for the host (`float(x)`, `x.numpy()`, `numpy.asarray(x)`); that is noted as a
cut of the kind `host_round_trip` (`headgate.core.host`).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from headgate.core.host import came_back, note_escape
from headgate.core.namespace import Array, is_array, owner
from headgate.core.traced import BRANCHING, is_traced, refused_trace
from headgate.record.errors import refusal
from headgate.record.graph import Node

if TYPE_CHECKING:
    from headgate.ops.attached import Attached
else:
    Attached = object


class Tensor(Attached):
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
        return self._escape("numpy()", self._known("numpy()", np.array)[()])

    def item(self) -> Any:
        """Return the only element as a Python number; gradient does not follow it."""
        return self._escape("item()", self._known("item()", lambda value: value.item()))

    def tolist(self) -> Any:
        """Return the elements as nested Python lists; gradient does not follow them."""
        return self._escape("tolist()", self._known("tolist()", lambda value: value.tolist()))

    def ref(self) -> Reference:
        """Return a hashable stand-in that compares by identity, for sets and dictionary keys."""
        return Reference(self)

    def _escape(self, how: str, left: Any = None) -> Any:
        """Note that the value leaves for the host, and as what; return that."""
        if self.node is not None:
            note_escape(self.node, "host_round_trip", how, self.value.shape, left)
        return left

    def _known(self, how: str, convert: Callable[[Array], Any]) -> Any:
        """Convert the array for the host; refuse if its values are not known yet."""
        try:
            return convert(self.value)
        except Exception as error:
            if not is_traced(self.value):
                raise
            raise refused_trace(how, self.value) from error

    def __float__(self) -> float:
        return self._escape("float()", self._known("float()", _float))  # type: ignore[no-any-return]

    def __int__(self) -> int:
        self._escape("int()")
        return self._known("int()", _int)  # type: ignore[no-any-return]

    def __complex__(self) -> complex:
        self._escape("complex()")
        return self._known("complex()", complex)  # type: ignore[no-any-return]

    def __bool__(self) -> bool:
        self._escape("bool()")
        if self.value.size != 1:
            raise refusal(
                ValueError,
                f"the truth value of a tensor of shape {self.shape} is ambiguous; "
                "use headgate.any(x) or headgate.all(x), or headgate.where(condition, a, b)",
            )
        return self._known(BRANCHING, bool)  # type: ignore[no-any-return]

    def __index__(self) -> int:
        return self._known("use as a whole number", operator.index)  # type: ignore[no-any-return]

    def __len__(self) -> int:
        if not self.value.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self.value.shape[0]  # type: ignore[no-any-return]

    def __buffer__(self, flags: int) -> memoryview:
        """Give Python 3.12 and later a view of the elements: `memoryview(x)`."""
        return memoryview(self.__array__())  # type: ignore[arg-type]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        array = self._known(
            "conversion to a NumPy array",
            lambda value: np.array(value, dtype=dtype, copy=True if copy else None),
        )
        if array is self.value:
            array = array.view()
            array.flags.writeable = False
        return self._escape("numpy.asarray()", array)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        if self.node is not None and not (self.node.live or self.node.cuts):
            self._escape("repr()")  # nothing is cut; who follows it is told that it was looked at
        body = shown(self.value, "Tensor(")
        return f"Tensor({body}, shape={self.shape}, dtype={self.dtype})"

    def __format__(self, spec: str) -> str:
        if not spec:
            return str(self)
        self._escape("format()")
        item = self._known("format()", lambda value: value.item() if value.ndim == 0 else value)
        return format(item, spec)

    def __hash__(self) -> int:
        raise TypeError("Tensor is unhashable. Instead, use tensor.ref() as the key.")

    def __copy__(self) -> Tensor:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        self._escape("copy.deepcopy()")
        return returned(np.array(self.value) if isinstance(self.value, np.ndarray) else self.value)

    def __reduce__(self) -> tuple[Any, ...]:
        self._escape("pickle")
        return returned, (np.asarray(self.value),)


def _real(value: Array) -> Array:
    """Return a number without its imaginary part, if that is zero; what float() wants."""
    if value.dtype.kind == "c" and value.size == 1 and value.imag == 0:
        return value.real
    return value


def _float(value: Array) -> float:
    return float(_real(value))


def _int(value: Array) -> int:
    return int(_real(value))


def shown(value: Array, prefix: str) -> str:
    """Return the elements of a raw array as text, if they are known."""
    if is_traced(value):
        return "<traced>"
    return np.array2string(np.asarray(value), separator=", ", prefix=prefix)


class Reference:
    """Hashable stand-in for a tensor or variable, equal to another one of the same object."""

    __slots__ = ("__weakref__", "_object")

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


def returned(value: Array) -> Tensor:
    """Wrap a raw array that comes from the host, with the mark of that if something left before."""
    return tensor_of(value, came_back(value))


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

    Arrays of a known library stay as they are (not copied), but those of a subclass of NumPy's and
    of a foreign byte order become plain ones here, where they come in: a `numpy.matrix` has a `*`
    of its own. `bfloat16` and the like, which NumPy knows only through ml_dtypes, count as numeric.
    """
    kind = type(value)
    if value is None:
        raise refusal(TypeError, f"{what} is None, which is no tensor")
    if kind is not np.ndarray and isinstance(value, np.ndarray):
        value = plain(value, what)
    if kind is np.ndarray and dtype is None:
        array = value
    elif is_array(value):
        array = value if dtype is None else value.astype(dtype)
    else:
        if isinstance(value, list | tuple) and value and isinstance(value[0], np.ndarray):
            value = [plain(item) if isinstance(item, np.ndarray) else item for item in value]
        try:
            if hasattr(kind, "__dlpack__") and not hasattr(kind, "__array__"):
                value = np.from_dlpack(value)
            array = np.asarray(value, dtype=dtype)
        except (ValueError, TypeError) as error:
            raise refusal(
                type(error),
                f"cannot convert {what} of type {type(value).__name__!r} to a tensor: {error}"
                + ("; all rows must have the same length" if "inhomogeneous" in str(error) else ""),
            ) from None
    if kind is np.ndarray or isinstance(array, np.ndarray | np.generic):
        letter = array.dtype.kind
        if letter not in _NUMERIC and not (letter == "V" and array.dtype.names is None):
            raise refusal(
                ValueError,
                f"cannot convert {what} of type {type(value).__name__!r} to a tensor: "
                f"its elements have the dtype {array.dtype}, and tensors hold numbers or booleans",
            )
        if not array.dtype.isnative:
            array = native(array)
    else:
        owner[type(array)]
    return array


def native(array: Array) -> Array:
    """Return an array of NumPy's in the byte order of this machine, the only one that JAX knows."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def plain(array: Array, what: str = "argument") -> Array:
    """Return an array of a subclass of NumPy's as a plain one; refuse masked arrays."""
    if isinstance(array, np.ma.MaskedArray):
        raise refusal(
            TypeError,
            f"{what} is a masked array, and tensors have no masks: fill it with x.filled(value), "
            "or pass x.data and use the mask where it counts, as in "
            "headgate.sum(headgate.where(numpy.ma.getmaskarray(x), 0.0, y))",
        )
    return np.asarray(array)
