"""JAX's functions on our tapes, and ours under JAX's transformations.

`from_jax` makes one op of a function that JAX computes. Its rule is what `jax.vjp` returns, which
may cross the border of a compiled function: the forward pass is compiled together with what it
saves, and the backward pass takes that, so nothing is computed twice. When the rule is itself
recorded it is an op of the same sort, made of the function `(inputs, cotangents) -> gradients`; so
every order works.

`to_jax` goes the other way. JAX is told (`jax.custom_vjp`) that the backward pass is one of our
tapes, which knows of gates; JAX's own differentiation would see the identity in most of them. The
backward pass is again a function of tensors that is given to JAX in this way, so every order works
here too. Variables become arguments and results as they do for `headgate.function`: while the
function runs, a scope says what they hold and keeps what is assigned to them.

Cotangents of complex arrays are the same in JAX and in a walk (`headgate.core.walk`); only users of
tapes see their conjugates.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import optree

from headgate.compile.backend import cells_of
from headgate.compile.executor import Tracing
from headgate.compile.signature import HOLE, Frame
from headgate.compile.xla import executor as xla
from headgate.compile.xla.program import jax_for
from headgate.core.custom import record_custom
from headgate.core.lift import as_tensor, is_inexact, lift
from headgate.core.namespace import NUMPY, TENSORS, Array, is_array, owner
from headgate.core.scope import stage, suspended
from headgate.core.tape import GradientTape
from headgate.core.tensor import Tensor, constant, tensor_of
from headgate.core.traced import is_traced
from headgate.core.variable import Variable, bind
from headgate.record.errors import describe, refusal
from headgate.record.graph import apart, state

# -- arguments -------------------------------------------------------------------------------------


def _is_data(leaf: Any) -> bool:
    """Tell whether a leaf of the arguments is an array or number; all else is static."""
    if type(leaf) is Tensor or type(leaf) is Variable:
        return True
    return is_array(leaf) or (isinstance(leaf, int | float | complex) and type(leaf) is not bool)


def _taken_apart(args: Any, kwargs: Any) -> tuple[Frame, list[Any]]:
    """Return arguments as a frame and the arrays and numbers that were in it."""
    tree = jax_for().tree
    flat, structure = tree.flatten((args, kwargs))
    holes = [HOLE if _is_data(leaf) else leaf for leaf in flat]
    return Frame(holes, structure, None, tree.unflatten), [x for x in flat if _is_data(x)]


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)


# -- JAX's functions on our tapes ------------------------------------------------------------------


def from_jax(function: Callable[..., Any], *, jit: bool = True) -> Callable[..., Any]:
    """Return a function of tensors that runs a JAX function, as one op with JAX's gradient.

    Args:
        function: a pure function of arrays, in any structure that JAX knows (lists, dictionaries,
            states of Flax, modules of Equinox). What is neither array nor number (a boolean, a
            text, a function) is static: it is compiled anew for another one.
        jit: compile it, once for each form of the arguments; `False` runs JAX op by op, for a
            function whose Python needs to know values.

    Returns:
        A function with the same arguments, in which tensors and variables may stand for arrays. Its
        result has tensors for arrays: NumPy's unless an argument is a JAX array. Gradient flows to
        floating-point arguments and from floating-point results, to any order.

    With JAX's 64-bit types switched off (`jax_enable_x64`, its default), JAX computes float64
    arguments as float32, and so is the result; gradients have their argument's dtype anyway.

    >>> import headgate as hg
    >>> import jax.numpy as jnp
    >>> w = hg.Variable([1.0, 2.0])
    >>> with hg.GradientTape() as tape:
    ...     y = hg.from_jax(lambda p: jnp.sum(p["w"] ** 2))({"w": w})
    >>> tape.gradient(y, w).numpy()
    array([2., 4.])
    """
    ops: dict[Any, _JaxOp] = {}

    @functools.wraps(function, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        frame, data = _taken_apart(args, kwargs)
        op = ops.get(frame.key)
        if op is None:

            def run(*arrays: Any) -> Any:
                args, kwargs = frame.filled(arrays)
                return function(*args, **kwargs)

            op = ops[frame.key] = _JaxOp(_name(function), run, jit)
        return op([tensor_of(*lift(leaf)) for leaf in data])

    return call


class _JaxOp:
    """A JAX function of arrays as an op; `pulls` has its gradients, by which inputs are live."""

    def __init__(self, name: str, function: Callable[..., Any], jit: bool) -> None:
        self.name = name
        self.function = function
        self.jit = jit
        self.run = self.compiled(function)
        self.pulls: dict[tuple[bool, ...], _JaxPull] = {}

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function compiled, if this op is."""
        return jax_for().jit(function) if self.jit else function

    def __call__(self, inputs: list[Tensor]) -> Any:
        """Compute and record; inputs may be Python's numbers, wrapped."""
        admit = state.recording.admit
        values = [x.value for x in inputs]
        native = any(xla.is_native(type(value)) for value in values)
        live = tuple(
            x.node is not None and is_inexact(x.value) and bool(admit(x.node)[0]) for x in inputs
        )
        rule: Any = None
        if any(live):
            pull = self.pulls.get(live)
            if pull is None:
                pull = self.pulls[live] = _JaxPull(self, live)
            outputs, back = pull.forward(*values)
            rule = functools.partial(pull.rule, inputs, back, native)
        else:
            outputs = self.run(*values)
        flat, structure = jax_for().tree.flatten(outputs)
        flat = [_output(leaf, native) for leaf in flat]
        smooth = [k for k, leaf in enumerate(flat) if type(leaf) is Tensor and is_inexact(leaf)]
        if any(x.node is not None for x in inputs):
            tensors = record_custom(self.name, [flat[k] for k in smooth], inputs, rule)
            for k, tensor in zip(smooth, tensors):
                flat[k] = tensor
        return jax_for().tree.unflatten(structure, flat)


class _JaxPull:
    """From the cotangents of an op's floating-point results to the gradients of its live inputs."""

    def __init__(self, op: _JaxOp, live: tuple[bool, ...]) -> None:
        self.function = op.function
        self.live = live
        self.forward = op.compiled(self._forward)
        self.apply = op.compiled(_pulled_back)
        self.op = _JaxOp(f"gradient of {op.name}", self._gradients, op.jit)

    def rule(
        self,
        inputs: list[Tensor],
        back: Callable[..., Any],
        native: bool,
        cotangents: list[Tensor],
        recorded: bool,
    ) -> list[Any]:
        """Return the gradient of each input, `None` where it is not live."""
        if recorded:
            found = self.op([*inputs, *cotangents])
        else:
            arrays = self.apply(back, [c.value for c in cotangents])
            found = [_output(array, native) for array in arrays]
        given = iter(found)
        return [_fitted(next(given), x) if live else None for x, live in zip(inputs, self.live)]

    def _forward(self, *values: Any) -> tuple[Any, Any]:
        """Return the results, and JAX's function from cotangents to gradients."""
        jax = jax_for()

        def of_live(*chosen: Any) -> tuple[list[Any], Any]:
            given = iter(chosen)
            results = self.function(
                *[next(given) if live else v for v, live in zip(values, self.live)]
            )
            smooth = [
                leaf
                for leaf in jax.tree.leaves(results)
                if jax.numpy.issubdtype(jax.numpy.result_type(leaf), np.inexact)
            ]
            return smooth, results

        chosen = [value for value, live in zip(values, self.live) if live]
        _, back, results = jax.vjp(of_live, *chosen, has_aux=True)
        return results, back

    def _gradients(self, *values: Any) -> list[Any]:
        count = len(self.live)
        _, back = self._forward(*values[:count])
        return _pulled_back(back, list(values[count:]))


def _pulled_back(back: Callable[..., Any], cotangents: list[Any]) -> list[Any]:
    return list(back(cotangents))


def _output(leaf: Any, native: bool) -> Any:
    """Return an output as a tensor; keys of JAX's random numbers, which are no numbers, as such."""
    if not hasattr(leaf, "dtype"):
        leaf = jax_for().numpy.asarray(leaf)
    if not isinstance(leaf.dtype, np.dtype):
        return leaf
    return constant(leaf if native or is_traced(leaf) else xla.host(leaf))


def _fitted(gradient: Tensor, x: Tensor) -> Tensor:
    """Return a gradient in its input's dtype, which JAX may have narrowed."""
    if gradient.dtype == x.dtype:
        return gradient
    with xla.wide():
        fitted: Tensor = TENSORS.astype(gradient, x.dtype)
    return fitted


# -- our functions under JAX's transformations -----------------------------------------------------


def to_jax(function: Callable[..., Any], variables: Any = None) -> Callable[..., Any]:
    """Return a function of JAX arrays that runs a function of tensors, for JAX's transformations.

    It works under `jax.jit`, `jax.grad` (to any order), `jax.vmap` and their kin, with the policy
    of every gate: `stop_gradient`, `clip_gradient`, `custom_gradient` and all others.

    Args:
        function: a function of tensors and anything else, with a structure of tensors as result. It
            may use tapes. What is neither array nor number among its arguments is static.
        variables: a variable, layer, model, optimizer or metric, or a structure of them, whose
            values become an argument. The variables must be there: build models and optimizers.

    Returns:
        A function with the same arguments; arrays to differentiate by must be among them. With
        `variables` it is a pure function `(values, *args) -> (result, new values)`: `values()` of
        it gives what the variables hold, an array for each variable and a list for each layer (or
        other object), and `assign(values)` puts such values back. No gradient flows to new values.

    Raises:
        ValueError: (when called) a variable is written that is not one of `variables`. Others that
            are read are constants.
        TypeError: (when called) an argument is a tensor.

    The gradient is a reverse one (`jax.custom_vjp`): `jax.jvp`, `jax.jacfwd` and what is made of
    them, such as `jax.hessian`, cannot be used; `jax.jacrev` can. The backward pass runs the
    function again; within one `jax.jit`, XLA merges that with the forward pass.

    >>> import headgate as hg
    >>> import jax
    >>> f = hg.to_jax(lambda x: hg.sum(hg.scale_gradient(x, 0.5) ** 2))
    >>> jax.jit(jax.grad(f))(jax.numpy.array([1.0, 2.0])).tolist()
    [1.0, 2.0]
    """
    if variables is not None:
        return _Pure(function, variables)

    @functools.wraps(function, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        return _under_jax(function, [], [], args, kwargs)[0]

    return call


class _Pure:
    """A function with the values of variables as first argument and the new ones as last result."""

    def __init__(self, function: Callable[..., Any], variables: Any) -> None:
        functools.update_wrapper(self, function, updated=())
        self._function = function
        self._variables = variables
        self._cells = cells_of(variables)
        if not self._cells:
            raise ValueError(
                f"to_jax: there are no variables in {describe(variables)}; build the model, or "
                "call it once, before"
            )

    def values(self) -> Any:
        """Return copies of what the variables hold, as JAX arrays."""
        return self._in_place_of([jax_for().numpy.array(cell._value) for cell in self._cells])

    def assign(self, values: Any) -> None:
        """Assign to all variables, in the library in which each of them is now."""
        for cell, value in zip(self._cells, self._flat(values)):
            cell.assign(np.array(value) if owner[type(cell._value)] is NUMPY else value)

    def __call__(self, values: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        flat = self._flat(values)
        result, new = _under_jax(self._function, self._cells, flat, args, kwargs)
        return result, self._in_place_of(new)

    def _in_place_of(self, arrays: Iterable[Any]) -> Any:
        given = iter(arrays)

        def replaced(leaf: Any) -> Any:
            return next(given) if type(leaf) is Variable else [next(given) for _ in cells_of(leaf)]

        return optree.tree_map(replaced, self._variables)

    def _flat(self, values: Any) -> list[Any]:
        flat: list[Any] = jax_for().tree.leaves(values)
        shapes = [np.shape(value) for value in flat]
        wanted = [cell.shape for cell in self._cells]
        if shapes != wanted:
            raise refusal(
                ValueError,
                f"{_name(self._function)} takes the values of {len(wanted)} variables, of the "
                f"shapes {wanted}, and was given {len(shapes)} of the shapes {shapes}; values() "
                "gives them",
            )
        return flat


class _Listed(Tracing):
    """A scope in which some variables hold what was given, and no others can be written."""

    __slots__ = ("given",)

    def __init__(self, cells: list[Variable], arrays: Sequence[Array]) -> None:
        outer = stage.scope
        self.given = given = {cell._source: array for cell, array in zip(cells, arrays)}

        def stand_in(variable: Variable) -> Array:
            if variable._source in given:
                return given[variable._source]
            if outer is not None:
                return outer.get(variable)
            with suspended():
                return variable._value

        super().__init__(stand_in, xla)

    def set(self, variable: Variable, value: Array) -> None:
        """Let a variable that was listed hold another value here."""
        if variable._source not in self.given:
            raise refusal(
                ValueError,
                f"variable {variable.name!r} is written, and JAX's functions are pure: name it in "
                "headgate.to_jax(function, variables=...), which returns its new value",
            )
        super().set(variable, value)


def _under_jax(
    function: Callable[..., Any],
    cells: list[Variable],
    values: list[Any],
    args: Any,
    kwargs: Any,
) -> tuple[Any, list[Any]]:
    """Run a function of tensors on JAX arrays; return its result and what the variables hold."""
    jax = jax_for()
    frame, data = _taken_apart(args, kwargs)
    for leaf in data:
        if type(leaf) is Tensor or type(leaf) is Variable:
            raise refusal(
                TypeError,
                f"{_name(function)} was made a function of JAX arrays by to_jax, and got a "
                f"{type(leaf).__name__}, whose history JAX does not know; call the function itself",
            )

    def run(tensors: list[Tensor]) -> Any:
        for cell, x in zip(cells, tensors):
            if x.node is not None:
                bind(cell, x.node)
        args, kwargs = frame.filled(tensors[len(cells) :])
        result = jax.tree.map(as_tensor, function(*args, **kwargs))
        held = [stage.scope.get(cell) for cell in cells]  # type: ignore[union-attr]
        return result, [constant(xla.fitted(new, x.value)) for new, x in zip(held, tensors)]

    arrays = [jax.numpy.asarray(leaf) for leaf in (*values, *data)]
    found: tuple[Any, list[Any]] = _with_our_gradient(run, cells)(*arrays)
    return found


def _with_our_gradient(run: Callable[[list[Tensor]], Any], cells: list[Variable]) -> Any:
    """Return a function of JAX arrays that runs this one, with a backward pass by our tapes.

    The first arguments are the values of the variables.
    """
    jax = jax_for()

    @jax.custom_vjp  # type: ignore[untyped-decorator]
    def function(*arrays: Any) -> Any:
        with apart(), _Listed(cells, arrays).entered():
            results = run([constant(array) for array in arrays])
        return jax.tree.map(lambda tensor: jax.numpy.asarray(tensor.value), results)

    def forward(*arrays: Any) -> Any:
        return function(*arrays), arrays

    def backward(arrays: Any, cotangents: Any) -> Any:
        live = [is_inexact(array) for array in arrays]
        given = [c for c in jax.tree.leaves(cotangents) if c.dtype != jax.dtypes.float0]
        found = iter(_with_our_gradient(_pulled(run, live), cells)(*arrays, *given))
        return tuple(next(found) if wanted else None for wanted in live)

    function.defvjp(forward, backward)
    return function


def _pulled(run: Callable[[list[Tensor]], Any], live: list[bool]) -> Any:
    """Return the function from inputs and cotangents to the gradients of those that are live."""

    def pull(tensors: list[Tensor]) -> list[Tensor]:
        inputs = [tensor_of(x.value, x.node) for x in tensors[: len(live)]]
        wanted = [x for x, one in zip(inputs, live) if one]
        with GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(wanted)
            results = [r for r in jax_for().tree.leaves(run(inputs)) if is_inexact(r)]
        cotangents = tensors[len(live) :]
        gradients: list[Tensor] = tape._gradient(results, wanted, cotangents, "zero", inside=True)
        return gradients

    return pull
