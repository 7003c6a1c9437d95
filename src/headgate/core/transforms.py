"""Derivatives of functions: `grad`, `vjp`, `jvp`, `jacobian`, `hessian` and their kin.

All of them are tapes, whose sources are positions: the function is called with a new tensor in
place of each argument (`GradientTape._argument`). So derivatives nest. The argument is told from
all else that has its value: another argument, what the function closes over, the variable that was
passed, and what an outer derivative is taken by, to which that one's gradient goes on. (A tape of
the user's own takes the same tensor for the same source, as TensorFlow's do.)

Forward mode needs no rules of its own: the vector-Jacobian product `u -> u J` is linear in u, so
its own vector-Jacobian product by u, at any u, is the Jacobian-vector product (the double-vjp
construction, J. Townsend 2017, "A new trick for calculating Jacobian vector products"). Of complex
numbers that is true as the walk has them (`headgate.core.walk`).
"""

from __future__ import annotations

import functools
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import optree

from headgate.core.lift import as_tensor, is_inexact
from headgate.core.namespace import TENSORS
from headgate.core.tape import GradientTape
from headgate.core.tensor import Tensor, tensor_of
from headgate.core.variable import Variable
from headgate.record.errors import describe, refusal
from headgate.record.graph import Tape, state
from headgate.record.onlooker import onlookers


def _watched(tape: GradientTape, tree: Any) -> Any:
    """Return a structure with each array in it replaced by a tensor that is watched."""
    return optree.tree_map(tape._argument, tree)


def _as_tuple(argnums: int | Sequence[int]) -> tuple[int, ...]:
    return (argnums,) if isinstance(argnums, int) else tuple(argnums)


def _run(
    tape: GradientTape, f: Callable[..., Any], argnums: int | Sequence[int], args: Any, kwargs: Any
) -> tuple[Any, Any]:
    """Call f with some arguments watched; return its result and those arguments."""
    positions = _as_tuple(argnums)
    given = list(args)
    with tape:
        for position in positions:
            try:
                given[position] = _watched(tape, given[position])
            except IndexError:
                raise refusal(
                    ValueError,
                    f"argnums asks for argument {position}, and {_name(f)} got {len(args)} "
                    "argument(s)",
                ) from None
        result = f(*given, **kwargs)
    chosen = tuple(given[position] for position in positions)
    return result, chosen[0] if isinstance(argnums, int) else chosen


def _refuse_integers(f: Callable[..., Any], chosen: Any) -> None:
    for leaf in optree.tree_leaves(chosen):
        if not is_inexact(leaf if type(leaf) is Tensor else leaf._value):
            raise refusal(
                TypeError,
                f"{_name(f)} cannot be differentiated by an argument of dtype {leaf.dtype}; pass "
                "floating-point numbers (3.0, not 3), or leave the argument out of argnums",
            )


def _name(f: Callable[..., Any]) -> str:
    return getattr(f, "__name__", repr(f))


def value_and_grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Return a function that computes both f's value and its gradient.

    Args:
        f: a function of tensors, arrays or structures of them, with a scalar result.
        argnums: the position(s) of the arguments to differentiate by. There f gets tensors, also
            for variables: one that it reads by another way is a constant to this derivative.
        has_aux: f returns `(value, anything)`; only the value is differentiated.

    Returns:
        A function of the same arguments with the result `(f's result, gradient)`. The gradient has
        the structure of the argument; where f does not depend on an argument it is zero, with a
        warning that says why.

    Raises:
        ValueError: f's value is not a scalar.

    >>> import headgate as hg
    >>> value, gradient = hg.value_and_grad(lambda x: hg.sum(x * x))(hg.asarray([1.0, 2.0]))
    >>> value.numpy(), gradient.numpy()
    (np.float64(5.0), array([2., 4.]))
    """

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return _value_and_grad(f, argnums, has_aux, args, kwargs, warn=True)

    return wrapper


def _value_and_grad(
    f: Callable[..., Any],
    argnums: int | Sequence[int],
    has_aux: bool,
    args: Any,
    kwargs: Any,
    warn: bool,
) -> Any:
    tape = GradientTape(watch_accessed_variables=False)
    result, chosen = _run(tape, f, argnums, args, kwargs)
    if has_aux and not (isinstance(result, tuple) and len(result) == 2):
        raise refusal(
            TypeError, f"with has_aux=True, {_name(f)} must return a pair (value, anything)"
        )
    _refuse_integers(f, chosen)
    value = as_tensor(result[0] if has_aux else result)
    if value.shape != ():
        raise refusal(
            ValueError,
            f"grad needs a function with a scalar result; {_name(f)} returned shape {value.shape}. "
            "Reduce it with headgate.sum or headgate.mean, or use headgate.jacobian",
        )
    flat, structure = optree.tree_flatten(chosen)
    if onlookers and warn:
        shown = [
            given if type(given) is Variable else own
            for given, own in zip(_given(args, argnums), flat, strict=True)
        ]
        gradients = tape._gradient(value, flat, onlookers=onlookers, shown=shown)
    else:
        gradients = tape._gradient(value, flat)
    for position, gradient in enumerate(gradients):
        if gradient is None:
            own = flat[position]
            if warn and is_inexact(own):
                given = _given(args, argnums)[position]
                warnings.warn(
                    f"the gradient of {_name(f)} is zero: {tape.why(value, own)}"
                    + _mistaken(tape, value, given),
                    stacklevel=3,
                )
            gradients[position] = TENSORS.zeros_like(own)
    return result, optree.tree_unflatten(structure, gradients)


def _given(args: Any, argnums: int | Sequence[int]) -> list[Any]:
    """Return the leaves of the arguments to differentiate by, as they were given."""
    chosen: Any = [args[position] for position in _as_tuple(argnums)]
    leaves: list[Any] = optree.tree_leaves(chosen)
    return leaves


def _mistaken(tape: GradientTape, value: Tensor, given: Any) -> str:
    """Say so if a function uses a variable itself that it also gets as an argument."""
    node = value.node
    if type(given) is not Variable or node is None:
        return ""
    sources, cuts = node.recording.sources, node.recording.cuts
    others = sources.masks.get(given._source, 0) & ~tape._bits
    if node.live & others or any(cut.severed & others for cut in cuts.upstream(node.cuts)):
        return (
            f"\n  the function reads the variable {given.name!r} itself, which is a constant to "
            "this derivative; use the argument that it is called with"
        )
    return ""


def grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Return a function that computes the gradient of f; arguments are those of `value_and_grad`.

    >>> import headgate as hg
    >>> hg.grad(lambda x: x * x)(3.0).numpy()
    np.float64(6.0)
    """

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result, gradient = _value_and_grad(f, argnums, has_aux, args, kwargs, warn=True)
        return (gradient, result[1]) if has_aux else gradient

    return wrapper


def vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """Return f's result at the primals and the function that maps cotangents to gradients.

    Returns:
        `(result, pull)`: `pull(cotangents)` takes the structure of the result and returns a tuple
        with the gradient for each primal (zeros where f does not depend on it).

    >>> import headgate as hg
    >>> y, pull = hg.vjp(hg.sin, 0.0)
    >>> pull(2.0)[0].numpy()
    np.float64(2.0)
    """
    tape = GradientTape(persistent=True, watch_accessed_variables=False)
    result, chosen = _run(tape, f, tuple(range(len(primals))), primals, {})

    def pull(cotangents: Any) -> Any:
        return tape._gradient(result, chosen, cotangents, unconnected_gradients="zero")

    return result, pull


def _push(tape: GradientTape, target: Any, sources: list[Any], tangents: list[Tensor]) -> Any:
    """Return the tangent of a target by the double-vjp construction, or None if unconnected."""
    if not is_inexact(target if type(target) is Tensor else target._value):
        return None
    with GradientTape(watch_accessed_variables=False) as outer:
        probe = TENSORS.zeros_like(target)
        outer.watch(probe)
        pulled = tape._gradient(target, sources, [probe], inside=True)
    reached = [(g, t) for g, t in zip(pulled, tangents, strict=True) if g is not None]
    if not reached:
        return None
    return outer._gradient([g for g, _ in reached], probe, [t for _, t in reached], inside=True)


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """Return f's result at the primals and its derivative along the tangents (forward mode).

    Args:
        f: a function of tensors, arrays or structures of them.
        primals: its arguments, as a tuple or list.
        tangents: one direction per primal, of the same structure, shapes and dtypes.

    Returns:
        `(result, tangent)`, of the same structure; zeros where the result does not depend on any
        primal.

    >>> import headgate as hg
    >>> y, dy = hg.jvp(hg.sin, (0.0,), (2.0,))
    >>> dy.numpy()
    np.float64(2.0)
    """
    if not isinstance(primals, list | tuple) or not isinstance(tangents, list | tuple):
        raise refusal(TypeError, "jvp takes a tuple or list of primals and one of tangents")
    tape = GradientTape(persistent=True, watch_accessed_variables=False)
    result, chosen = _run(tape, f, tuple(range(len(primals))), primals, {})
    sources, directions = _matched(list(chosen), list(tangents))
    outputs, structure = optree.tree_flatten(result)
    pushed = []
    for output in map(as_tensor, outputs):
        tangent = _push(tape, output, sources, directions)
        pushed.append(TENSORS.zeros_like(output) if tangent is None else tangent)
    return result, optree.tree_unflatten(structure, pushed)


def _matched(primals: Any, tangents: Any) -> tuple[list[Any], list[Tensor]]:
    """Flatten primals and tangents together; refuse what does not match."""
    sources, structure = optree.tree_flatten(primals)
    given, other = optree.tree_flatten(tangents)
    if structure != other:
        raise refusal(
            ValueError,
            "The two structures don't have the same nested structure. "
            f"Primals: {structure}. Tangents: {other}.",
        )
    directions = []
    for source in sources:
        if type(source) is not Tensor and type(source) is not Variable:
            raise refusal(
                TypeError, f"a primal must be a Tensor or Variable, got {describe(source)}"
            )
    for source, direction in zip(sources, given, strict=True):
        weak = isinstance(direction, int | float | complex)
        tangent = as_tensor(direction)
        if tangent.dtype != source.dtype:
            if not weak:
                raise refusal(
                    ValueError,
                    f"Tensor conversion requested dtype {source.dtype} for Tensor with dtype "
                    f"{tangent.dtype}: a tangent has its primal's dtype",
                )
            tangent = TENSORS.astype(tangent, source.dtype)
        if tangent.shape != source.shape and tangent.size != 1:
            raise refusal(
                ValueError,
                f"a tangent has the shape {tangent.shape} and its primal {source.shape}",
            )
        directions.append(TENSORS.broadcast_to(tangent, source.shape))
    return sources, directions


def jacobian(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """Return a function that computes the Jacobian of f, of shape `result.shape + argument.shape`.

    >>> import headgate as hg
    >>> hg.jacobian(lambda x: x * x)(hg.asarray([1.0, 2.0])).numpy()
    array([[2., 0.],
           [0., 4.]])
    """

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        tape = GradientTape(persistent=True, watch_accessed_variables=False)
        result, chosen = _run(tape, f, argnums, args, kwargs)
        _refuse_integers(f, chosen)
        return optree.tree_map(
            lambda output: tape.jacobian(as_tensor(output), chosen, unconnected_gradients="zero"),
            result,
        )

    return wrapper


def hessian(f: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """Return a function that computes the matrix of second derivatives of a scalar function.

    Its shape is `argument.shape + argument.shape`.

    >>> import headgate as hg
    >>> hg.hessian(lambda x: hg.sum(x**3))(hg.asarray([1.0, 2.0])).numpy()
    array([[ 6.,  0.],
           [ 0., 12.]])
    """

    @functools.wraps(f)
    def first(*args: Any, **kwargs: Any) -> Any:
        return _value_and_grad(f, argnums, False, args, kwargs, warn=False)[1]

    return jacobian(first, argnums)


def hvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """Return the product of a scalar function's Hessian with a vector, without forming the Hessian.

    Args:
        f: a function with a scalar result.
        primals: its arguments, as a tuple or list.
        tangents: one direction per primal, of the same structure, shapes and dtypes.

    Returns:
        A tuple with the product for each primal.

    >>> import headgate as hg
    >>> x = hg.asarray([1.0, 2.0])
    >>> hg.hvp(lambda x: hg.sum(x**3), (x,), (hg.ones_like(x),))[0].numpy()
    array([ 6., 12.])
    """
    tape = GradientTape(watch_accessed_variables=False)
    positions = tuple(range(len(primals)))

    def first(*args: Any) -> Any:
        return _value_and_grad(f, positions, False, args, {}, warn=False)[1]

    gradients, chosen = _run(tape, first, positions, primals, {})
    _, directions = _matched(chosen, tuple(tangents))
    flat = optree.tree_leaves(gradients)
    return tape._gradient(flat, chosen, directions, unconnected_gradients="zero")


def _itself(source: Any) -> Callable[[], Any]:
    """Return what gives a primal back while the program has it: its tensor is not kept for us."""
    return weakref.ref(source) if type(source) is Tensor else lambda: source


def _stand_in(source: Any) -> Any:
    """Return a tensor with the node of a watched one and no elements, to be a source in its place.

    So the primal is not kept, and keeps its tangent when another tape watches it later.
    """
    if type(source) is Variable:
        return source
    value = source.value
    if isinstance(value, np.ndarray | np.generic):
        value = np.broadcast_to(np.zeros((), value.dtype), value.shape)
    return tensor_of(value, source.node)


class ForwardAccumulator:
    """Compute Jacobian-vector products of what runs inside the context (forward mode).

    Args:
        primals: a tensor or variable, or a nested structure of them.
        tangents: the direction for each primal, in the same structure, of its dtype.

    Raises:
        ValueError: the structures or dtypes differ, or a primal appears twice.

    >>> import headgate as hg
    >>> x = hg.asarray(3.0)
    >>> with hg.ForwardAccumulator(x, hg.asarray(1.0)) as acc:
    ...     y = x * x
    >>> acc.jvp(y).numpy()
    np.float64(6.0)
    """

    def __init__(self, primals: Any, tangents: Any) -> None:
        self._sources, self._tangents = _matched(primals, tangents)
        if len({id(source) for source in self._sources}) != len(self._sources):
            raise refusal(
                ValueError,
                "Tensor was specified as a primal multiple times. This may indicate an "
                "error. If it "
                "was intended, please sum the corresponding tangents.",
            )
        self._primals = [_itself(source) for source in self._sources]
        self._tape = GradientTape(persistent=True, watch_accessed_variables=False)
        self._entered = False
        self._around: list[Tape] = []

    def __enter__(self) -> ForwardAccumulator:
        if self._tape._active:
            raise refusal(ValueError, "Accumulator is already recording.")
        self._tape.__enter__()
        recording = state.recording
        self._around += [tape for tape in recording.tapes[:-1] if tape not in self._around]
        if not self._entered:
            self._entered = True
            self._tape.watch(self._sources)
            self._sources = list(map(_stand_in, self._sources))
        return self

    def __exit__(self, *exception: object) -> None:
        self._tape.__exit__(*exception)

    def jvp(self, primals: Any, unconnected_gradients: Any = "none") -> Any:
        """Return the tangents of tensors computed inside the context, in the same structure.

        They count as computed there, whenever they are asked for: accumulators and tapes around
        this context see them, and no others do.

        Args:
            primals: a tensor or variable, or a nested structure of them.
            unconnected_gradients: "none" (None where no primal is involved) or "zero".
        """
        with self._inside():
            return self._jvp(primals, unconnected_gradients)

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """Run a block as if it stood in this context: what was around it records, nothing else."""
        recording, before = self._tape._recording, state.recording
        if recording is None:
            yield
            return
        kept, active = (recording.tapes, recording.suspended), self._tape._active
        others = [*recording.tapes, *recording.suspended, self._tape]
        recording.tapes = list(self._around)
        recording.suspended = [tape for tape in others if tape not in self._around]
        recording.refresh()
        state.recording, self._tape._active = recording, False
        try:
            yield
        finally:
            state.recording, self._tape._active = before, active
            recording.tapes, recording.suspended = kept
            recording.refresh()

    def _jvp(self, primals: Any, unconnected_gradients: Any) -> Any:
        zero = getattr(unconnected_gradients, "value", unconnected_gradients) == "zero"
        flat, structure = optree.tree_flatten(primals)
        results = []
        for target in flat:
            own = [t for p, t in zip(self._primals, self._tangents, strict=True) if p() is target]
            if own or not self._entered:
                tangent = own[0] if own else None
            else:
                tangent = _push(self._tape, target, self._sources, self._tangents)
            results.append(TENSORS.zeros_like(target) if tangent is None and zero else tangent)
        return optree.tree_unflatten(structure, results)
