"""Values of a PyTorch program: what is known of a tensor, and of one that is a source.

A tensor is known by a number as long as it has not been written into. What it is asked here it
tells without being changed; all of it may be a stand-in, as within `vmap`, and show no numbers.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(slots=True, eq=False)
class Leaf:
    """A source, with what only PyTorch knows of it.

    Attributes:
        number: of the source in the trace.
        tensor: gives the tensor itself, while it is there.
        home: whether it was made for the user's own code, not within a library.
        parameter: whether it is an `nn.Parameter`.
        asks: whether it required a gradient when it was looked at last.
        slot: the attribute that a module has it by, "" if none does.
        past: values that it was made from or that were written into it.
        turn: the pass that it was read in last.
        read: its number in that pass.
        taken: what is used of it in that pass: `read`, or what a hook lies behind.
        flags: each time that the program set `requires_grad`: (flag, place).
        asked: whether the program looked at its gradient.
        loaded: whether the program gave it its value, from something computed nowhere here.
        handed: whether the program itself set its gradient.
        seized: whether the program itself took its gradient, not a function of PyTorch.
        arrived: whether any gradient came to it, zeros as well.
        gradient: the value of its gradient, 0 if there is none now.
        cleared: the line that took the gradient away since it came, -1 if none did.
        wiped: the last line that did so before any step took it.
        given: steps that had a gradient of it.
        clears: how often its gradient was taken away.
        hook: the line at which a hook was put on it, -1 if none was.
    """

    number: int
    tensor: Callable[[], Any]
    home: bool
    parameter: bool
    asks: bool
    slot: str = ""
    past: list[int] = field(default_factory=list)
    turn: int = -1
    read: int = 0
    taken: int = 0
    flags: list[tuple[bool, int]] = field(default_factory=list)
    asked: bool = False
    loaded: bool = False
    handed: bool = False
    seized: bool = False
    arrived: bool = False
    gradient: int = 0
    cleared: int = -1
    wiped: int = -1
    given: int = 0
    clears: int = 0
    hook: int = -1


def leaf_of(number: int, tensor: Any, home: bool) -> Leaf:
    """Return what is known of a source at first."""
    parameter = isinstance(tensor, torch.nn.Parameter)
    return Leaf(number, weakref.ref(tensor), home, parameter, bool(tensor.requires_grad))


class Known:
    """A tensor that has a number."""

    __slots__ = ("alias", "leaf", "number", "ref", "shows", "tracked", "version")

    def __init__(self, tensor: Any, number: int, leaf: Leaf | None = None) -> None:
        self.ref = weakref.ref(tensor)
        self.number = number
        self.version = version_of(tensor)
        self.tracked = tensor.requires_grad
        self.leaf = leaf
        self.alias: Leaf | None = None  # the leaf whose memory this tensor shows
        self.shows: Any = None  # the tensor whose memory it shows, without a gradient


class Given:
    """An input of an op: its number, which argument it is, and its node in the graph."""

    __slots__ = ("leaf", "node", "number", "position", "tensor", "tracked")

    def __init__(self, number: int, position: int, tensor: Any) -> None:
        self.number = number
        self.position = position
        self.tracked = tensor.requires_grad
        self.node = node_of(tensor)
        self.leaf = tensor if self.tracked and self.node is None else None
        self.tensor = tensor


def version_of(tensor: Any) -> int:
    """Return how often a tensor was changed in place; those of inference mode do not count it."""
    return 0 if tensor.is_inference() else tensor._version


def node_of(tensor: Any) -> Any:
    """Return the node that made a tensor, None if there is none or it must not be asked for.

    PyTorch refuses it for a view that was taken under `no_grad` and then written into.
    """
    try:
        return tensor.grad_fn if tensor.requires_grad else None
    except RuntimeError:
        return None


def of_host(number: int, position: int) -> Given:
    """Return an input that comes from the host."""
    given = Given.__new__(Given)
    given.number, given.position = number, position
    given.tracked, given.node, given.leaf, given.tensor = False, None, None, None
    return given


def tensors_in(values: Any, deep: bool = False) -> Iterator[Any]:
    """Yield the tensors among some values, and in the lists and tuples that they are."""
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif type(value) is slice:
            bounds = value.start, value.stop, value.step
            yield from (each for each in bounds if isinstance(each, torch.Tensor))
        elif isinstance(value, list | tuple) and len(value) < 10_000:
            if deep:
                yield from tensors_in(value, deep)
            else:
                for item in value:
                    if isinstance(item, torch.Tensor):
                        yield item
                    elif type(item) is slice:
                        bounds = item.start, item.stop, item.step
                        yield from (each for each in bounds if isinstance(each, torch.Tensor))


def is_wrapped(tensor: Any) -> bool:
    """Tell whether a tensor stands for many, in `vmap` and its kin, and shows no numbers."""
    wrapped: bool = torch._C._functorch.is_functorch_wrapped_tensor(tensor)
    return wrapped


def spoilt(tensor: Any, infinities_are_meant: bool) -> bool:
    """Tell whether a tensor holds NaN or an infinity; if those are meant, NaN alone."""
    if tensor.is_sparse or tensor.is_meta or is_wrapped(tensor) or tensor.numel() == 0:
        return False
    with torch.no_grad():
        total = tensor.sum().item()
        if total - total == 0:
            return False
        return bool((tensor.isnan() if infinities_are_meant else ~tensor.isfinite()).any())


def is_same(content: Any, left: Any) -> bool:
    """Tell whether what comes from the host is what left for it."""
    if content is left:
        return True
    if isinstance(content, float) and isinstance(left, float):
        return content == left and content not in (0.0, 1.0, -1.0)
    if hasattr(content, "__array_interface__") and hasattr(left, "__array_interface__"):
        import numpy as np

        return bool(np.may_share_memory(content, left))
    if isinstance(content, list | tuple) and len(content) < 1_000:
        return any(is_same(item, left) for item in content)
    return False


def norm(g: Any) -> float:
    """Return the Euclidean norm of a gradient, 0 only if all of it is exactly zero."""
    if is_wrapped(g):
        return 1.0  # nobody can look into it
    with torch.no_grad():
        if g.layout is not torch.strided:
            g = g.coalesce().values() if g.layout is torch.sparse_coo else g.to_dense()
        if g.numel() == 0:
            return 0.0
        found = float(torch.linalg.vector_norm(g.detach()))
        if found == 0 and bool(g.any()):  # the squares have left the range
            found = float(g.detach().abs().max())
        elif math.isinf(found) and bool(g.isfinite().all()):
            found = float(torch.linalg.vector_norm(g.detach().double()))
        return found
