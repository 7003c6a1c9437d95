"""Traced values: stand-ins for arrays while a function is being traced, and what they refuse.

A stand-in has a shape and a dtype and no elements yet. Whatever needs the elements (`float(x)`,
`if x:`, a shape) is refused with the cure that fits, here in one place.
"""

from __future__ import annotations

from headgate.core.namespace import Array
from headgate.core.scope import stage
from headgate.record.errors import TracingError, refusal


def is_traced(value: Array) -> bool:
    """Tell whether a raw array is a stand-in whose values are not known yet."""
    return is_traced_kind(type(value))


def is_traced_kind(kind: type) -> bool:
    """Tell whether a type is that of stand-ins for arrays."""
    return "Tracer" in kind.__name__


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
