"""Gradients by the user's own rule: `custom_gradient`, `recompute_grad`, `grad_pass_through`.

A function with a rule of its own becomes one node, like an op's, whose outputs are new tensors.
What its body did is recorded too, in case the rule uses it (its own gradient then needs it), but
the results do not lead there, so it is freed with the body otherwise. The rule is the user's code
on tensors. It is called once per walk, when the cotangents of all outputs are there, and gives the
gradients of all inputs; complex ones are turned for it, there and back (`headgate.core.walk`).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import numpy as np
import optree

from headgate.core.again import Moment, as_it_is, boundary, input_node, unlogged
from headgate.core.arguments import zeros_like
from headgate.core.cotangent import turned
from headgate.core.lift import as_tensor, is_inexact, lift, owned
from headgate.core.op import JointRule, record_outputs
from headgate.core.pull import pull
from headgate.core.row import Op
from headgate.core.tensor import Tensor, constant, tensor_of
from headgate.core.variable import Variable, node_of
from headgate.record.cuts import sequence
from headgate.record.errors import describe, refusal
from headgate.record.graph import Node, ghost, state
from headgate.record.site import caller


def _flatten(tree: Any) -> tuple[list[Any], Any]:
    return optree.tree_flatten(tree, none_is_leaf=True)


def _function(name: str, f: Any) -> Any:
    """Return what a decorator is put on; refuse what is no function."""
    if not callable(f):
        raise refusal(
            TypeError,
            f"{name} decorates a function, got {describe(f)}; give it the function itself",
        )
    return f


CustomRule = Callable[[list[Tensor], bool], list[Any]]
"""From one cotangent per output, and whether a tape looks on, to one gradient or None per input,
all of them as the walk carries them."""


class _Custom:
    """A function with its own gradient; as a method, `self` is not one of its inputs."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        functools.update_wrapper(self, function)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        return _Custom(self.function.__get__(instance, owner))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        inputs, structure = _flatten(args)
        inputs = list(map(owned, inputs))  # the rule may use them
        for number, given in enumerate(inputs):
            if given is None:
                raise refusal(
                    ValueError,
                    f"{self.name}: argument {number} is None, which is no tensor; pass options "
                    "by keyword",
                )
        with state.recording.reads() as log:
            returned = self.function(*optree.tree_unflatten(structure, inputs), **kwargs)
        if not (isinstance(returned, tuple) and len(returned) == 2 and callable(returned[1])):
            raise refusal(
                TypeError,
                f"{self.name}: a function with a custom gradient returns the pair (result, "
                "grad_fn), "
                f"got {describe(returned)}",
            )
        result, rule = returned
        _check_rule(self.name, rule, result)
        given_refs = {id(item) for item in inputs}
        variables = list(
            {id(v): v for v in log if v.trainable and id(v) not in given_refs}.values()
        )
        if variables and not _accepts_variables(rule):
            raise refusal(
                TypeError,
                "@custom_gradient grad_fn must accept keyword argument 'variables', since function "
                f"uses variables: {[v.name for v in variables]}; gradients for them are "
                "returned as "
                "grad_fn's second result: (gradients of arguments, gradients of variables)",
            )
        return record_custom(
            self.name, result, [*inputs, *variables], _Call(self.name, rule, len(inputs), variables)
        )

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", "custom_gradient")


def _check_rule(name: str, rule: Callable[..., Any], result: Any) -> None:
    """Refuse a rule that cannot take one cotangent per result, where it is returned."""
    flat, _ = _flatten(result)
    if any(item is None for item in flat):
        raise refusal(TypeError, f"{name}: the result, first of (result, grad_fn), has None in it")
    if type(rule) is FunctionType:  # a hundred times as fast as a signature
        code = rule.__code__
        if code.co_argcount >= len(flat) or code.co_flags & inspect.CO_VARARGS:
            return
    try:
        inspect.signature(rule).bind_partial(*flat)
    except TypeError:
        raise refusal(
            TypeError,
            f"{name}: grad_fn takes one cotangent per tensor of the result, which has "
            f"{len(flat)}, and it is grad_fn{inspect.signature(rule)}",
        ) from None
    except ValueError:  # a function that does not tell
        return


def _accepts_variables(rule: Callable[..., Any]) -> bool:
    parameters = inspect.signature(rule).parameters
    return "variables" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


class _Call:
    """The user's rule for one call: checks what it gives back."""

    def __init__(
        self, name: str, rule: Callable[..., Any], count: int, variables: list[Variable]
    ) -> None:
        self.name = name
        self.rule = rule
        self.count = count
        self.variables = variables

    def __call__(self, cotangents: list[Tensor], recorded: bool) -> list[Any]:
        cotangents = list(map(turned, cotangents))
        if self.variables:
            returned = self.rule(*cotangents, variables=self.variables)
            if not isinstance(returned, tuple) or len(returned) != 2:
                raise refusal(
                    ValueError,
                    f"{self.name}: grad_fn with variables returns (gradients of arguments, "
                    "gradients "
                    f"of variables), got {describe(returned)}",
                )
            of_inputs, of_variables = map(_as_list, returned)
            if len(of_variables) != len(self.variables):
                raise refusal(
                    ValueError,
                    "Must return gradient for each variable from @custom_gradient grad_fn: "
                    f"{len(self.variables)} variable(s), {len(of_variables)} gradient(s) "
                    f"({self.name})",
                )
        else:
            of_inputs, of_variables = _as_list(self.rule(*cotangents)), []
        if len(of_inputs) != self.count:
            raise refusal(
                ValueError,
                f"custom_gradient function expected to return {self.count} gradients, but returned "
                f"{len(of_inputs)} instead. ({self.name}: one for each positional argument)",
            )
        return list(map(_back_inside, (*of_inputs, *of_variables)))


def _back_inside(gradient: Any) -> Any:
    """Return what a user's rule gave as the walk carries it."""
    if isinstance(gradient, complex):
        return gradient.conjugate()  # a Python number stays one: it adapts to the argument's dtype
    if getattr(getattr(gradient, "dtype", None), "kind", None) == "c":
        return turned(as_tensor(gradient))
    return gradient


def _as_list(returned: Any) -> list[Any]:
    if isinstance(returned, list | tuple | dict):
        flat, _ = _flatten(returned)
        return list(flat)
    return [returned]


Ways = Sequence[tuple[Sequence[bool], int]]
"""For each output, which of the inputs reach it, and the cuts that lie in between."""


def record_custom(
    name: str, result: Any, inputs: list[Any], call: CustomRule, ways: Ways | None = None
) -> Any:
    """Return the tensors of `result` anew, as outputs of one node with the rule `call`.

    `call` is given one cotangent per output. Without `ways`, all inputs reach each output.
    """
    flat, structure = _flatten(result)
    values = [as_tensor(item).value for item in flat]
    if ways is None:
        ways = [((True,) * len(inputs), 0)] * len(values)
    recording = state.recording
    lifted: list[tuple[Any, Node | None]] = []
    masks = []
    for item in inputs:
        array, node = (None, None) if isinstance(item, str | bytes) else lift(item)
        live, cuts = (0, 0) if node is None else recording.admit(node)
        masks.append((live, cuts))
        lifted.append((array, node) if live else (None, None))
    reached = [_joined(masks, reaching, between) for reaching, between in ways]
    if not any(live for live, _ in reached):
        plain = [ghost(recording, its_cuts) for _, its_cuts in reached]
        return optree.tree_unflatten(structure, list(map(tensor_of, values, plain)))
    shapes = [(value.shape, value.dtype) for value in values]
    site = caller()

    def whole(known: dict[int, Tensor], recorded: bool) -> list[Any]:
        cotangents = [
            known[k] if k in known else constant(np.zeros(shape, dtype))
            for k, (shape, dtype) in enumerate(shapes)
        ]
        return call(cotangents, recorded)

    def take(gradient: Any, number: int) -> Tensor | None:
        array, node = lifted[number]
        if gradient is None:
            assert node is not None
            recording.cuts.refused |= recording.cuts.add(
                "custom_gradient", node.live, node.cuts, name, array.shape, site
            )
            return None
        return _checked(gradient, number, name, array)

    rule = JointRule(whole, [reaching for reaching, _ in ways], take)
    edges = tuple(
        None if node is None else (node, rule, (number,), array.shape, array.dtype)
        for number, (array, node) in enumerate(lifted)
    )
    made = Op(name, True, "custom_gradient", [("",)] * len(edges))
    masks = [(live if is_inexact(v) else 0, cuts) for v, (live, cuts) in zip(values, reached)]
    outputs = record_outputs(made, values, masks, [node for _, node in lifted], edges)
    return optree.tree_unflatten(structure, outputs)


def _joined(masks: Sequence[tuple[int, int]], among: Sequence[bool], cuts: int) -> tuple[int, int]:
    """Return the live bits of those that are meant, and their cuts with some more."""
    live = 0
    for (its_live, its_cuts), meant in zip(masks, among, strict=True):
        if meant:
            live |= its_live
            cuts |= its_cuts
    return live, cuts


def _checked(gradient: Any, number: int, name: str, array: Any) -> Tensor:
    if isinstance(gradient, str | bytes):
        raise refusal(
            ValueError,
            f"{name}: the custom gradient for argument {number} is of type "
            f"{type(gradient).__name__!r}, {gradient!r}; return a tensor, an array or a number",
        )
    weak = isinstance(gradient, bool | int | float | complex)
    given = as_tensor(np.asarray(gradient, array.dtype) if weak else gradient)
    if given.shape != array.shape or given.dtype != array.dtype:
        raise refusal(
            ValueError,
            f"{name}: the custom gradient for argument {number} is {describe(given)}, and the "
            "argument "
            f"{describe(array)}; a gradient has its argument's shape and dtype",
        )
    return given


def custom_gradient(f: Callable[..., Any] | None = None) -> Any:
    """Decorate a function that gives its own gradient.

    Args:
        f: a function of tensors that returns `(result, grad_fn)`. `grad_fn` takes one cotangent per
            tensor of the result and returns one gradient per positional argument (None: no
            gradient). If f reads trainable variables that are not arguments, `grad_fn` takes the
            keyword `variables`, a list, and returns `(gradients of arguments, gradients of
            variables)`.

    Returns:
        The function, which returns `result`.

    Raises:
        TypeError: no pair was returned, or `grad_fn` cannot take the variables.
        ValueError: wrong number, shape or dtype of gradients (when they are computed).

    >>> import headgate as hg
    >>> @hg.custom_gradient
    ... def log1pexp(x):
    ...     e = hg.exp(x)
    ...     return hg.log(1 + e), lambda g: g * (1 - 1 / (1 + e))
    >>> x = hg.Variable(100.0)
    >>> with hg.GradientTape() as tape:
    ...     y = log1pexp(x)
    >>> tape.gradient(y, x).numpy()
    np.float64(1.0)
    """
    return custom_gradient if f is None else _Custom(_function("custom_gradient", f))


def recompute_grad(f: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function so that it keeps no intermediate results and runs again for its gradient.

    Trades time for memory (gradient checkpointing, arXiv:1604.06174). What f uses from outside gets
    its gradient like what it is given. Variables are read anew in the second run, so a change in
    between shows. Inputs that f does not use get zeros.

    >>> import headgate as hg
    >>> f = hg.recompute_grad(lambda x: hg.exp(hg.sin(x)))
    >>> x = hg.Variable(0.0)
    >>> with hg.GradientTape() as tape:
    ...     y = f(x)
    >>> tape.gradient(y, x).numpy()
    np.float64(1.0)
    """

    _function("recompute_grad", f)

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return _recomputed(f, args, kwargs)

    return wrapper


class _Input:
    """A tensor or variable that a function is given, as it is seen when it is called."""

    __slots__ = ("cuts", "live", "node", "value", "variable")

    def __init__(self, given: Tensor | Variable) -> None:
        self.variable = given if type(given) is Variable else None
        self.value, self.node = lift(given)
        self.live, self.cuts = (0, 0) if self.node is None else state.recording.admit(self.node)

    def standing(self, followed: bool) -> Tensor:
        """Return a tensor to stand for it in a run, followed to where it comes from or not."""
        value = self.value if self.variable is None else self.variable._value
        node = input_node(self.live, self.cuts, self.node if followed else None)
        return tensor_of(value, node)


def _recomputed(f: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Call f, and record what it returns as outputs of one node, whose rule runs it again.

    The first run is recorded like any other, to learn where gradient leaves it, and let go of. All
    inputs count as used by each result, as do the variables that were read.
    """
    flat, structure = _flatten(args)
    flat = list(map(owned, flat))
    kwargs = {name: owned(value) for name, value in kwargs.items()}
    inputs = {k: _Input(item) for k, item in enumerate(flat) if type(item) in (Tensor, Variable)}

    same = as_it_is(f)

    def run(f: Any, followed: bool) -> tuple[list[Tensor], Any, list[Node | None]]:
        """Return the results, their structure, and the nodes that stand for inputs."""
        given = list(flat)
        for k, each in inputs.items():
            given[k] = each.standing(followed)
        nodes = [given[k].node for k, each in inputs.items() if each.live]
        leaves, form = _flatten(f(*optree.tree_unflatten(structure, given), **kwargs))
        if any(leaf is None for leaf in leaves):
            raise refusal(
                TypeError,
                f"recompute_grad: {getattr(f, '__name__', 'f')} returned None, or a structure with "
                "None in it; is its return missing?",
            )
        return list(map(as_tensor, leaves)), form, nodes

    recording, start = state.recording, sequence()
    with unlogged(), recording.reads() as log:
        results, form, nodes = run(f, False)
    masks = [(0, 0) if r.node is None else recording.admit(r.node) for r in results]
    masks = [(live if is_inexact(r) else 0, cuts) for r, (live, cuts) in zip(results, masks)]
    soft = [r.node if live else None for r, (live, _) in zip(results, masks)]
    outside, met = boundary(soft, start, {node.seq for node in nodes if node is not None})

    shared = 0
    parents: list[Node | None] = []
    used: list[Tensor | Variable] = []  # what these stand for: zeros, if no gradient comes
    for each in inputs.values():
        if each.live:
            shared |= each.live
            parents.append(each.node)
            used.append(constant(each.value))
    beyond: list[Node] = []  # what gradient leaves to, the same in each run
    for variable in {v._source: v for v in log}.values():
        leaf = node_of(variable)
        if leaf is not None and leaf.live & ~recording.paused:
            shared |= leaf.live & ~recording.paused
            beyond.append(leaf)
            used.append(variable)
    if not shared and not any(live for live, _ in masks):
        return optree.tree_unflatten(form, results)
    known = {node.seq for node in (*nodes, *beyond) if node is not None}
    captured = [k for k, node in enumerate(outside) if node.seq not in known]
    beyond += [outside[k] for k in captured]
    moment = Moment()

    def again(cotangents: dict[int, Tensor], recorded: bool) -> list[Any]:
        with moment.again():
            results, _, nodes = run(same, recorded)
        seeds = []
        for k, g in cotangents.items():
            node = results[k].node
            if node is not None and node.live:
                seeds.append((node, results[k].value, g))
        found = pull(seeds, [*nodes, *beyond], lifted=recorded, beyond=False)
        zeros = [zeros_like(item) if g is None else g for item, g in zip(used, found)]
        return zeros + found[len(used) :]

    parents += beyond
    reach = [[*[True] * len(used), *(bool(mask >> k & 1) for k in captured)] for mask in met]
    rule = JointRule(again, reach)
    edges = tuple((node, rule, (number,), None, None) for number, node in enumerate(parents))
    op = Op(getattr(f, "__name__", "f"), True, "custom_gradient", [("",)] * len(edges))
    masks = [(live | shared if is_inexact(r) else 0, c) for r, (live, c) in zip(results, masks)]
    outputs = record_outputs(op, [r.value for r in results], masks, parents, edges)
    return optree.tree_unflatten(form, outputs)


def grad_pass_through(f: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function so that gradient passes it unchanged, as if it were the identity.

    >>> import headgate as hg
    >>> x = hg.Variable(2.6)
    >>> with hg.GradientTape() as tape:
    ...     y = hg.grad_pass_through(hg.round)(x) * 2.0
    >>> y.numpy(), tape.gradient(y, x).numpy()
    (np.float64(6.0), np.float64(2.0))
    """

    _function("grad_pass_through", f)

    @custom_gradient
    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result = f(*args, **kwargs)

        def passed(*cotangents: Any, variables: Any = None) -> Any:
            if variables is not None:
                return list(cotangents), [None] * len(variables)
            return list(cotangents)

        return result, passed

    return wrapper  # type: ignore[no-any-return]
