"""Tensor: a raw array and, if a tape follows it, the node that says where it came from.

Value and graph are separate objects. A tensor is immutable; `node is None` means a constant without
a history. Tensors are made by `asarray`, by ops and by reading variables; their operators and
methods are attached in `headgate.ops.operators`, the one place where that happens.

A value may leave for the host (`float(x)`, `x.numpy()`, `numpy.asarray(x)`). What comes back from
there is a constant, so such an **escape** of a watched value is noted as a cut of the kind
`host_round_trip`, in case somebody asks later where the gradient went.
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from headgate.core.namespace import Array, is_array, owner
from headgate.core.scope import stage
from headgate.record.graph import (
    BACK,
    MAYBE_BACK,
    Node,
    Recording,
    TracingError,
    ghost,
    refusal,
    state,
    where,
)

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
        return self._escape("float()", self._known("float()", float))  # type: ignore[no-any-return]

    def __int__(self) -> int:
        self._escape("int()")
        return self._known("int()", int)  # type: ignore[no-any-return]

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


def is_traced(value: Array) -> bool:
    """Tell whether a raw array is a stand-in whose values are not known yet."""
    return is_traced_kind(type(value))


def is_traced_kind(kind: type) -> bool:
    """Tell whether a type is that of stand-ins for arrays."""
    return "Tracer" in kind.__name__


def shown(value: Array, prefix: str) -> str:
    """Return the elements of a raw array as text, if they are known."""
    if is_traced(value):
        return "<traced>"
    return np.array2string(np.asarray(value), separator=", ", prefix=prefix)


BRANCHING = "Python branching (`if`, `while`, `and`, `or`)"

_RETURN = "return the tensor from the function and convert it outside"
_SIZES = (
    "sizes and numbers of steps must be known then: name the argument that they come from in "
    "headgate.function(..., static_argnames=...)"
)
_CURES = {
    BRANCHING: "choose with headgate.where(condition, a, b) or headgate.cond(condition, f, g), "
    "repeat with headgate.while_loop or headgate.scan",
    "use as a whole number": _SIZES,
    **dict.fromkeys(("int()", "item()", "tolist()"), f"{_RETURN}; {_SIZES}"),
}


def refused_trace(how: str, value: Array) -> Exception:
    """Return the error about something that needs the values of a traced array."""
    cure = _CURES.get(how, _RETURN)
    if stage.scope is None:
        cure += (
            ". If it comes out of a function that headgate.function compiled, it has leaked, "
            "through a list, an attribute or a global name: return it from there"
        )
    return refusal(
        TracingError,
        f"{how} of a traced tensor of shape {value.shape}, dtype {value.dtype}: its values are "
        f"not known while a function is being traced; {cure}",
    )


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


def note_escape(
    node: Node | None, kind: str, how: str, shape: tuple[int, ...], left: Any = None
) -> tuple[Recording, int] | None:
    """Note that a watched value goes on where no tape can follow it, and as what it `left`.

    Returns the recording and the bit of the cut there; None if no tape knew the value.
    """
    if node is None or not (node.live or node.cuts):
        return None
    recording = node.recording
    bit = recording.cut(kind, node.live, node.cuts, how, shape)
    recording.escapes |= bit
    if recording.in_use and kind == "host_round_trip":
        recording.departed[bit] = weakref.ref(left) if isinstance(left, np.ndarray) else left
    if recording.log is not None:
        recording.log.left(node, bit, kind, how)
    return recording, bit


def came_back(value: Any) -> Node | None:
    """Return a node for a value that comes from the host, if it left from here before.

    Whether it is the same array (or a view of it) or an equal number can be told. Anything else
    that was made on the host since something left there may have been computed from it; numbers
    that stand in the user's line are taken for what they are.
    """
    recording = state.recording
    if not recording.departed or recording.walking:
        return None
    if _is_literal(value, where()[0].co_consts):
        return None
    label, earlier = MAYBE_BACK, recording.escapes
    for bit, left in recording.departed.items():
        if _is_same(value, left() if type(left) is weakref.ref else left):
            label, earlier = BACK, bit
            break
    bit = recording.cut("host_round_trip", 0, earlier, label, getattr(value, "shape", ()))
    if recording.log is not None:
        return recording.log.back(label, earlier, bit)  # type: ignore[no-any-return]
    return ghost(recording, bit)


def returned(value: Array) -> Tensor:
    """Wrap a raw array that comes from the host, with the mark of that if something left before."""
    return tensor_of(value, came_back(value))


def _is_same(value: Any, left: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_is_same(item, left) for item in value)
    if isinstance(left, np.ndarray):
        return isinstance(value, np.ndarray) and np.may_share_memory(value, left)
    if isinstance(value, np.ndarray) and value.ndim:
        return False
    return not isinstance(left, list) and left is not None and bool(value == left)


def _is_literal(value: Any, constants: tuple[Any, ...]) -> bool:
    if isinstance(value, list | tuple):
        return tuple(value) in constants or all(_is_literal(item, constants) for item in value)
    if isinstance(value, bool | int | float | complex):
        return any(type(each) is type(value) and each == value for each in constants)
    return False


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
