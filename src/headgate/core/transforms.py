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
import inspect
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
import optree

from headgate.core.again import is_linear
from headgate.core.arguments import OF_PULLS, flat_cotangents, flat_targets, wants_zeros
from headgate.core.asked import is_nameless, keep_name
from headgate.core.checks import flag
from headgate.core.host import came_back
from headgate.core.lift import as_tensor, is_inexact
from headgate.core.namespace import TENSORS, is_array
from headgate.core.tape import GradientTape
from headgate.core.tensor import Tensor, tensor_of
from headgate.core.traced import is_traced
from headgate.core.variable import Variable
from headgate.record.errors import describe, refusal, warn_missing
from headgate.record.graph import Leaf, Tape, state
from headgate.record.onlooker import onlookers


def _watched(tape: GradientTape, f: Callable[..., Any], position: int, tree: Any) -> Any:
    """Return an argument with each array in its structure replaced by a tensor that is watched."""

    def stand_in(leaf: Any) -> Tensor:
        if type(leaf) is Tensor or type(leaf) is Variable or is_array(leaf):
            return tape._argument(leaf)
        try:
            return tape._argument(leaf)
        except (TypeError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise refusal(
                type(error),
                f"{_name(f)} cannot be differentiated by its argument {position}: {reason}; leave "
                "it out of argnums, or what is no number out of the structure",
            ) from None

    return optree.tree_map(stand_in, tree)


def _as_tuple(argnums: int | Sequence[int]) -> tuple[int, ...]:
    return (argnums,) if isinstance(argnums, int) else tuple(argnums)


class _Run(NamedTuple):
    """One call of a function under a tape.

    `targets` is what of the result is differentiated, with tensors in place of arrays and numbers.
    `chosen` has what stands for the `arguments` to differentiate by, those at `argnums`.
    """

    tape: GradientTape
    f: Callable[..., Any]
    result: Any
    targets: Any
    chosen: Any
    arguments: Any
    argnums: int | Sequence[int]

    @property
    def function(self) -> str:
        """The name of the function."""
        return _name(self.f)

    def name_arguments(self) -> None:
        """Call what stands for arguments as the function does: `params['w']`."""
        trees = (self.chosen,) if isinstance(self.argnums, int) else self.chosen
        for position, tree in zip(_as_tuple(self.argnums), trees, strict=True):
            name = _parameter(self.f, position)
            accessors = optree.tree_accessors(tree)
            for leaf, accessor in zip(optree.tree_leaves(tree), accessors, strict=True):
                if type(leaf) is Tensor and type(leaf.node) is Leaf and is_nameless(leaf):
                    keep_name(leaf, accessor.codify(name))

    @property
    def given(self) -> list[Any]:
        """The arguments to differentiate by, as they were given, flat."""
        leaves: list[Any] = optree.tree_leaves(self.arguments)
        return leaves


def _run(
    tape: GradientTape,
    f: Callable[..., Any],
    argnums: int | Sequence[int],
    args: Any,
    kwargs: Any,
    has_aux: bool = False,
) -> _Run:
    """Call f with some arguments watched. With `has_aux`, the first of two results is the target.

    What it returns becomes a tensor while the tape still records, so that a number which comes from
    the host (`math.sin(x)`) carries with it where it left.
    """
    positions = _as_tuple(argnums)
    given = list(args)
    with tape:
        for position in positions:
            try:
                given[position] = _watched(tape, f, position, given[position])
            except IndexError:
                others = f" by position, and {', '.join(kwargs)} by name" if kwargs else ""
                raise refusal(
                    ValueError,
                    f"argnums asks for argument {position}, and {_name(f)} got {len(args)} "
                    f"argument(s){others}; positions count from 0, and what is differentiated by "
                    "is passed by position",
                ) from None
        result = f(*given, **kwargs)
        if has_aux and not (isinstance(result, tuple) and len(result) == 2):
            raise refusal(
                TypeError,
                f"with has_aux=True, {_name(f)} must return a pair (value, anything), and it "
                f"returned {_told(result)}",
            )
        wanted = result[0] if has_aux else result
        if wanted is None:
            raise refusal(
                TypeError,
                f"{_name(f)} returned None, which has no derivative; is its return missing?",
            )
        targets = wanted
        if type(wanted) is not Tensor:
            constants = getattr(getattr(f, "__code__", None), "co_consts", ())
            as_target = functools.partial(_as_target, name=_name(f), constants=constants)
            targets = optree.tree_map(as_target, wanted)
    chosen = tuple(given[position] for position in positions)
    return _Run(
        tape,
        f,
        result,
        targets,
        chosen[0] if isinstance(argnums, int) else chosen,
        [args[position] for position in positions],
        argnums,
    )


def _as_target(leaf: Any, name: str, constants: tuple[Any, ...]) -> Any:
    """Return a tensor for what a function with these constants in its code returned."""
    if type(leaf) is Tensor or type(leaf) is Variable:
        return leaf
    if not isinstance(leaf, int | float | complex) and not is_array(leaf):
        raise refusal(
            TypeError,
            f"{name} returned {describe(leaf)}, which has no derivative: return tensors, arrays or "
            "numbers (grad and value_and_grad take anything as the second result, with "
            "has_aux=True)",
        )
    tensor = as_tensor(leaf)
    if tensor.node is None:
        return tensor_of(tensor.value, came_back(leaf, constants))
    return tensor


def _refuse_integers(f: Callable[..., Any], chosen: Any) -> None:
    for leaf in optree.tree_leaves(chosen):
        if not is_inexact(leaf if type(leaf) is Tensor else leaf._value):
            raise refusal(
                TypeError,
                f"{_name(f)} cannot be differentiated by an argument of dtype {leaf.dtype} (shape "
                f"{leaf.shape}); pass floating-point numbers (3.0, not 3), or leave the argument "
                "out of argnums",
            )


def _name(f: Callable[..., Any]) -> str:
    return getattr(f, "__name__", repr(f))


def _parameter(f: Callable[..., Any], position: int) -> str:
    """Return what a function calls its argument at a position."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):  # a function that does not tell
        return f"argument {position}"
    for number, parameter in enumerate(parameters[: position + 1]):
        if parameter.kind is parameter.VAR_POSITIONAL:
            return f"{parameter.name}[{position - number}]"
    return parameters[position].name


def _check(transform: str, f: Any, argnums: Any = 0) -> None:
    """Refuse what cannot be differentiated at all, where it is asked for."""
    if not callable(f):
        raise refusal(
            TypeError,
            f"{transform} takes a function, got {describe(f)}; write {transform}(f), and give what "
            "it returns the arguments"
            if transform in ("grad", "value_and_grad", "jacobian", "hessian")
            else f"{transform} takes a function first, got {describe(f)}",
        )
    positions = argnums if isinstance(argnums, list | tuple) else [argnums]
    if not all(isinstance(each, int) and not isinstance(each, bool) for each in positions):
        raise refusal(
            TypeError,
            f"{transform}: argnums is the position of an argument, or a tuple of positions, got "
            f"{describe(argnums)}"
            + ("; pass has_aux by its name" if isinstance(argnums, bool) else ""),
        )
    if len(set(positions)) < len(positions):
        raise refusal(ValueError, f"{transform}: argnums {argnums} names one argument twice")


def _warn_unreached(run: _Run, what: str, meant: Sequence[bool] | None = None) -> None:
    """Say of each argument that no gradient comes to from any of the results why that is so.

    Whole numbers have no gradient, and nobody misses it; nor where it is not `meant`.
    """
    own: list[Any] = optree.tree_leaves(run.chosen)
    targets: list[Any] = optree.tree_leaves(run.targets)
    missing = [
        number
        for number, source in enumerate(own)
        if (meant is None or meant[number])
        and is_inexact(source)
        and not any(_reached(run.tape, target, source) for target in targets)
    ]
    if missing:
        _warn_of(run, what, targets, missing)


def _reached(tape: GradientTape, target: Any, source: Tensor) -> bool:
    if target is source:
        return True
    blocked = source.node is not None and source.node.recording.sources.blocked
    return tape._connected(target, source) and not tape._bits_of(source) & (blocked or 0)


def _warn_of(run: _Run, what: str, targets: list[Any], missing: list[int]) -> None:
    """Say why the derivative by some of the arguments, by number, is zero."""
    run.name_arguments()
    own: list[Any] = optree.tree_leaves(run.chosen)
    told = run.tape.why(targets, [own[number] for number in missing]).in_short()
    by = f" by {len(missing)} of {len(own)} arguments" if len(missing) > 1 else ""
    mistaken = dict.fromkeys(
        _mistaken(run.tape, target, run.given[number])
        for number in missing
        for target in targets[:1]
    )
    start = "\n" if by else " "
    warn_missing(f"the {what} of {run.function} is zero{by}:{start}{told}{''.join(mistaken)}")


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
    _check("value_and_grad", f, argnums)
    has_aux = flag("value_and_grad", "has_aux", has_aux)

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return _value_and_grad(f, argnums, has_aux, args, kwargs)

    return wrapper


def _value_and_grad(
    f: Callable[..., Any],
    argnums: int | Sequence[int],
    has_aux: bool,
    args: Any,
    kwargs: Any,
    what: str = "gradient",
) -> Any:
    """Return f's result and its gradient, which is the first step to what is asked for."""
    tape = GradientTape(watch_accessed_variables=False)
    run = _run(tape, f, argnums, args, kwargs, has_aux)
    result, value = run.result, run.targets
    _refuse_integers(f, run.chosen)
    if type(value) is not Tensor and type(value) is not Variable:
        raise refusal(
            ValueError,
            f"{what} needs a function with a scalar result; {_name(f)} returned {_told(value)}. "
            "With has_aux=True, the first of two is differentiated; headgate.jacobian takes any "
            "structure",
        )
    value = as_tensor(value)
    if value.shape != ():
        raise refusal(
            ValueError,
            f"{what} needs a function with a scalar result; {_name(f)} returned shape "
            f"{value.shape}. Reduce it with headgate.sum or headgate.mean, or use "
            "headgate.jacobian",
        )
    flat, structure = optree.tree_flatten(run.chosen)
    if onlookers and what == "gradient":
        run.name_arguments()
        shown = [
            given if type(given) is Variable else own
            for given, own in zip(run.given, flat, strict=True)
        ]
        everything: Any = (args, kwargs)
        others = [leaf for leaf in optree.tree_leaves(everything) if type(leaf) is Variable]
        for onlooker in onlookers:
            onlooker.beside(tape, others)
        gradients = tape._gradient(value, flat, onlookers=onlookers, shown=shown)
    else:
        gradients = tape._gradient(value, flat)
    missing = [position for position, gradient in enumerate(gradients) if gradient is None]
    if missing:
        _warn_of(run, what, [value], missing)
        for position in missing:
            gradients[position] = TENSORS.zeros_like(flat[position])
    return result, optree.tree_unflatten(structure, gradients)


def _told(result: Any) -> str:
    """Say what a function returned, in a few words."""
    if isinstance(result, list | tuple | dict):
        return f"a {type(result).__name__} of {len(result)}"
    return describe(result)


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
    _check("grad", f, argnums)
    has_aux = flag("grad", "has_aux", has_aux)

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result, gradient = _value_and_grad(f, argnums, has_aux, args, kwargs)
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
    _check("vjp", f)
    tape = GradientTape(persistent=True, watch_accessed_variables=False)
    run = _run(tape, f, tuple(range(len(primals))), primals, {})
    _refuse_only_integers("vjp", run)

    said = False

    def pull(cotangents: Any) -> Any:
        nonlocal said
        if cotangents is not None:
            cotangents = flat_cotangents(flat_targets(run.targets), cotangents, OF_PULLS)
        found = tape._gradient(run.targets, run.chosen, cotangents, unconnected_gradients="zero")
        if not said:
            said = True
            _warn_unreached(run, "gradient")
        return found

    return run.result, pull


def _refuse_only_integers(transform: str, run: _Run) -> None:
    """Refuse arguments none of which can have a gradient; some may be labels or indices."""
    leaves = optree.tree_leaves(run.chosen)
    if leaves and not any(is_inexact(leaf) for leaf in leaves):
        raise refusal(
            TypeError,
            f"{transform}: {run.function} cannot be differentiated by its arguments, "
            f"{', '.join(map(describe, leaves))}; pass floating-point numbers (3.0, not 3)",
        )


def _per_argument(transform: str, f: Any, primals: Any, tangents: Any) -> tuple[Any, Any, bool]:
    """Return primals and tangents with one entry per argument, and whether there was just one.

    A tuple or list has one entry per argument; anything else is the only argument itself.
    """
    several = [isinstance(each, list | tuple) for each in (primals, tangents)]
    if several == [False, False]:
        return (primals,), (tangents,), True
    if several != [True, True] or len(primals) != len(tangents):
        raise refusal(
            ValueError,
            f"{transform}: the primals and tangents don't have the same nested structure: the "
            f"primals are {_shapes(primals)}, the tangents {_shapes(tangents)}; give both as "
            "tuples with one entry per argument, or both as the only argument itself",
        )
    if type(f) is FunctionType:  # a hundred times as fast as a signature
        code = f.__code__
        if code.co_argcount >= len(primals) or code.co_flags & inspect.CO_VARARGS:
            return tuple(primals), tuple(tangents), False
    try:
        inspect.signature(f).bind_partial(*primals)
    except TypeError as error:
        raise refusal(
            TypeError,
            f"{transform}: the primals are {_shapes(primals)}, one entry per argument, and "
            f"{_name(f)} does not take {len(primals)}: {error}. A function of one array takes "
            "(x,) or an array, not a list of numbers",
        ) from None
    except ValueError:  # a function that does not tell
        pass
    return tuple(primals), tuple(tangents), False


def _shapes(given: Any) -> str:
    if isinstance(given, list | tuple):
        return f"a {type(given).__name__} of {len(given)} ({', '.join(map(_shapes, given))})"
    return describe(given)


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
        primals: its arguments, as a tuple or list; or the only argument itself, if it is neither.
        tangents: one direction per primal, of the same structure, shapes and dtypes.

    Returns:
        `(result, tangent)`, of the same structure; zeros where the result does not depend on any
        primal.

    >>> import headgate as hg
    >>> y, dy = hg.jvp(hg.sin, (0.0,), (2.0,))
    >>> dy.numpy()
    np.float64(2.0)
    """
    _check("jvp", f)
    primals, tangents, _ = _per_argument("jvp", f, primals, tangents)
    tape = GradientTape(persistent=True, watch_accessed_variables=False)
    run = _run(tape, f, tuple(range(len(primals))), primals, {})
    sources, directions = _matched(list(run.chosen), list(tangents), "jvp: ")
    _refuse_only_integers("jvp", run)
    outputs, structure = optree.tree_flatten(run.targets)
    pushed = []
    for output in map(as_tensor, outputs):
        tangent = _push(tape, output, sources, directions)
        pushed.append(TENSORS.zeros_like(output) if tangent is None else tangent)
    moved = [
        bool(np.any(direction.value)) if not is_traced(direction.value) else True
        for direction in directions
    ]
    _warn_unreached(run, "tangent", moved)
    return run.result, optree.tree_unflatten(structure, pushed)


def _matched(primals: Any, tangents: Any, by: str = "") -> tuple[list[Any], list[Tensor]]:
    """Flatten primals and tangents together; refuse what does not match, by this name."""
    sources, structure = optree.tree_flatten(primals)
    given, other = optree.tree_flatten(tangents)
    if structure != other:
        raise refusal(
            ValueError,
            f"{by}The two structures don't have the same nested structure. "
            f"Primals: {structure}. Tangents: {other}.",
        )
    directions = []
    for source in sources:
        if type(source) is not Tensor and type(source) is not Variable:
            raise refusal(
                TypeError,
                f"{by}a primal must be a Tensor or Variable, got {describe(source)}; make one with "
                "headgate.asarray(...) and use that one in the computation",
            )
    for number, (source, direction) in enumerate(zip(sources, given, strict=True)):
        weak = isinstance(direction, int | float | complex)
        tangent = as_tensor(direction)
        if tangent.dtype != source.dtype:
            if not weak:
                raise refusal(
                    ValueError,
                    f"{by}tangent {number} is {describe(tangent)}. Tensor conversion requested "
                    f"dtype {source.dtype} for Tensor with dtype {tangent.dtype}: a tangent has "
                    f"its primal's dtype; convert it with "
                    f"headgate.astype(tangent, {str(source.dtype)!r})",
                )
            tangent = TENSORS.astype(tangent, source.dtype)
        if tangent.shape != source.shape and tangent.size != 1:
            raise refusal(
                ValueError,
                f"{by}tangent {number} has the shape {tangent.shape} and its primal "
                f"{source.shape}; a tangent is a direction in which its primal moves, and has its "
                "shape",
            )
        directions.append(TENSORS.broadcast_to(tangent, source.shape))
    return sources, directions


def jacobian(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, mode: str | None = None
) -> Callable[..., Any]:
    """Return a function that computes the Jacobian of f, of shape `result.shape + argument.shape`.

    Args:
        f: a function of tensors, arrays or structures of them.
        argnums: the position(s) of the arguments to differentiate by.
        mode: "reverse" walks back once for each element of the result, "forward" goes forward once
            for each element of the arguments. Left out, the one that takes less is chosen, and
            forward only where it gives the same: not for complex numbers, nor through
            `custom_gradient`, `clip_gradient` and compiled functions.

    Returns:
        A function of the same arguments; of all parts of the result, in their structure, the
        Jacobian by all arguments, in theirs. Zeros, with a warning, where f does not depend on an
        argument.

    Raises:
        TypeError: the mode is forward, and arguments or results are complex.

    >>> import headgate as hg
    >>> hg.jacobian(lambda x: x * x)(hg.asarray([1.0, 2.0])).numpy()
    array([[2., 0.],
           [0., 4.]])
    """
    _check("jacobian", f, argnums)
    if mode not in (None, "forward", "reverse"):
        raise refusal(
            ValueError, f'jacobian: the mode is "forward" or "reverse", or left out; got {mode!r}'
        )

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        tape = GradientTape(persistent=True, watch_accessed_variables=False)
        run = _run(tape, f, argnums, args, kwargs)
        _refuse_integers(f, run.chosen)
        sources: list[Any] = optree.tree_leaves(run.chosen)

        def of(output: Any) -> Any:
            target = as_tensor(output)
            if mode == "forward" or (mode is None and _forward_pays(tape, target, sources)):
                columns = _columns(tape, target, sources)
                if columns is not None:
                    return optree.tree_unflatten(optree.tree_structure(run.chosen), columns)
            return tape.jacobian(target, run.chosen, unconnected_gradients="zero")

        found = optree.tree_map(of, run.targets)
        if not hasattr(f, "is_gradient"):  # that of a linear function is a constant, rightly
            _warn_unreached(run, "Jacobian")
        return found

    return wrapper


def jacfwd(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """Return a function that computes the Jacobian of f by its columns: `jacobian`, forward.

    For functions of few numbers with many results.

    >>> import headgate as hg
    >>> hg.jacfwd(lambda x: hg.stack([x, x * x, x**3]))(2.0).numpy()
    array([ 1.,  4., 12.])
    """
    return jacobian(f, argnums, mode="forward")


def jacrev(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """Return a function that computes the Jacobian of f by its rows: `jacobian`, in reverse.

    For functions of many numbers with few results.

    >>> import headgate as hg
    >>> hg.jacrev(lambda x: hg.sum(x * x))(hg.asarray([1.0, 2.0])).numpy()
    array([2., 4.])
    """
    return jacobian(f, argnums, mode="reverse")


_PAYS = 2
"""A step forward is a walk through a walk: it pays where it saves so many steps back each."""


def _forward_pays(tape: GradientTape, target: Tensor, sources: list[Any]) -> bool:
    """Tell whether forward mode takes less, and is sure to give the same as reverse mode."""
    inputs = sum(source.size for source in sources)
    return (
        target.size > _PAYS * inputs
        and is_inexact(target)
        and all(x.dtype.kind != "c" for x in (target, *sources))
        and not tape._is_recorded(target)
        and _is_linear(tape, target)
    )


def _is_linear(tape: GradientTape, target: Tensor) -> bool:
    """Tell whether all rules on the way are known to be linear in their cotangent."""
    node = tape._node(target)
    pending = [] if node is None else [node]
    seen = set()
    while pending:
        node = pending.pop()
        if node.seq in seen or not node.live & tape._bits:
            continue
        seen.add(node.seq)
        if not is_linear(node):
            return False
        pending += [edge[0] for edge in node.edges or () if edge is not None]
    return True


def _columns(tape: GradientTape, target: Tensor, sources: list[Any]) -> list[Tensor] | None:
    """Return the Jacobian by each source, computed forward; None if that cannot be.

    As `_push`, with the pull recorded once for all directions.
    """
    if not is_inexact(target):
        return None
    if any(x.dtype.kind == "c" for x in (target, *sources)):
        raise refusal(
            TypeError,
            "jacobian: forward mode is for real numbers, and an argument or a result is complex; "
            'use mode="reverse"',
        )
    with GradientTape(persistent=True, watch_accessed_variables=False) as outer:
        probe = TENSORS.zeros_like(target)
        outer.watch(probe)
        pulled = tape._gradient(target, sources, [probe], inside=True)
    found = []
    for source, g in zip(sources, pulled, strict=True):
        shape = target.shape + source.shape
        if g is None or not g.size:
            found.append(TENSORS.zeros(shape, dtype=source.dtype))
            continue
        (rows,) = outer._rows(g, [probe], 1, g.size, inside=True)
        if rows is None:  # a rule that cannot be differentiated
            return None
        column = TENSORS.reshape(TENSORS.moveaxis(rows, 0, -1), shape)
        found.append(column if column.dtype == source.dtype else column.astype(source.dtype))
    return found


def hessian(f: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """Return a function that computes the matrix of second derivatives of a scalar function.

    Its shape is `argument.shape + argument.shape`.

    >>> import headgate as hg
    >>> hg.hessian(lambda x: hg.sum(x**3))(hg.asarray([1.0, 2.0])).numpy()
    array([[ 6.,  0.],
           [ 0., 12.]])
    """

    _check("hessian", f, argnums)

    @functools.wraps(f)
    def first(*args: Any, **kwargs: Any) -> Any:
        return _value_and_grad(f, argnums, False, args, kwargs, "Hessian")[1]

    first.is_gradient = True  # type: ignore[attr-defined]
    return jacobian(first, argnums)


def hvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """Return the product of a scalar function's Hessian with a vector, without forming the Hessian.

    Args:
        f: a function with a scalar result.
        primals: its arguments, as a tuple or list; or the only argument itself, if it is neither.
        tangents: one direction per primal, of the same structure, shapes and dtypes.

    Returns:
        A tuple with the product for each primal; the product itself, if the argument was given so.

    >>> import headgate as hg
    >>> x = hg.asarray([1.0, 2.0])
    >>> hg.hvp(lambda x: hg.sum(x**3), x, hg.ones_like(x)).numpy()
    array([ 6., 12.])
    """
    _check("hvp", f)
    primals, tangents, lone = _per_argument("hvp", f, primals, tangents)
    tape = GradientTape(watch_accessed_variables=False)
    positions = tuple(range(len(primals)))

    def first(*args: Any) -> Any:
        return _value_and_grad(f, positions, False, args, {}, "Hessian")[1]

    run = _run(tape, first, positions, primals, {})
    _, directions = _matched(run.chosen, tangents, "hvp: ")
    flat = optree.tree_leaves(run.result)
    products = tape._gradient(flat, run.chosen, directions, unconnected_gradients="zero")
    return products[0] if lone else products


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
        self._around: list[weakref.ref[Tape]] = []

    def __enter__(self) -> ForwardAccumulator:
        if self._tape._active:
            raise refusal(ValueError, "Accumulator is already recording.")
        try:
            self._tape.__enter__()
            recording = state.recording
            self._around += [tape for tape in recording.tapes[:-1] if tape not in self._around]
            if not self._entered:
                self._tape.watch(self._sources)
                self._sources = list(map(_stand_in, self._sources))
                self._entered = True
            return self
        except BaseException:  # an interrupt: nobody will leave what was not entered
            self._tape.__exit__()
            raise

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
        others: list[weakref.ref[Tape]] = [*recording.tapes, *recording.suspended]
        others.append(self._tape._reference)
        late = False
        try:
            recording.tapes = list(self._around)
            recording.suspended = [tape for tape in others if tape not in self._around]
            recording.refresh()
            state.recording, self._tape._active = recording, False
            yield
        except GeneratorExit:
            late = True
            raise
        finally:
            there = [*recording.tapes, *recording.suspended]  # but for tapes that were left since
            state.back(before, recording, late)
            self._tape._active = active and self._tape._reference in there
            recording.tapes = [tape for tape in kept[0] if tape in there or not late]
            recording.suspended = [tape for tape in kept[1] if tape in there or not late]
            recording.refresh()

    def _jvp(self, primals: Any, unconnected_gradients: Any) -> Any:
        zero = wants_zeros(unconnected_gradients)
        flat, structure = optree.tree_flatten(primals)
        results = []
        for target in flat:
            if type(target) is not Tensor and type(target) is not Variable:
                raise refusal(
                    TypeError,
                    "ForwardAccumulator.jvp takes tensors that were computed inside the context, "
                    f"or a structure of them, got {describe(target)}",
                )
            given = [t for p, t in zip(self._primals, self._tangents, strict=True) if p() is target]
            if given or not self._entered:
                tangent = given[0] if given else None
            else:
                tangent = _push(self._tape, target, self._sources, self._tangents)
                if tangent is None and not zero:
                    # By the primals themselves where they live: their names are the user's.
                    alive = [
                        source if (primal := own()) is None else primal
                        for own, source in zip(self._primals, self._sources, strict=True)
                    ]
                    self._tape._explain_missing([target], alive, [None] * len(alive), "tangent")
            results.append(TENSORS.zeros_like(target) if tangent is None and zero else tangent)
        return optree.tree_unflatten(structure, results)
