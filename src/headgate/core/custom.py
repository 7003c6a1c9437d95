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
from typing import Any

import numpy as np
import optree

from headgate.core.cotangent import turned
from headgate.core.lift import as_tensor, is_inexact, lift
from headgate.core.op import JointRule, record_outputs
from headgate.core.row import Op
from headgate.core.tape import GradientTape
from headgate.core.tensor import Tensor, constant, tensor_of
from headgate.core.variable import Variable
from headgate.record.errors import describe, refusal
from headgate.record.graph import Node, ghost, state, unrecorded
from headgate.record.site import caller


def _flatten(tree: Any) -> tuple[list[Any], Any]:
    return optree.tree_flatten(tree, none_is_leaf=True)


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
        inputs, _ = _flatten(args)
        for number, given in enumerate(inputs):
            if given is None:
                raise refusal(
                    ValueError,
                    f"{self.name}: argument {number} is None, which is no tensor; pass options "
                    "by keyword",
                )
        with state.recording.reads() as log:
            returned = self.function(*args, **kwargs)
        if not (isinstance(returned, tuple) and len(returned) == 2 and callable(returned[1])):
            raise refusal(
                TypeError,
                f"{self.name}: a function with a custom gradient returns the pair (result, "
                "grad_fn), "
                f"got {describe(returned)}",
            )
        result, rule = returned
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
    return custom_gradient if f is None else _Custom(f)


def recompute_grad(f: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function so that it keeps no intermediate results and runs again for its gradient.

    Trades time for memory (gradient checkpointing, arXiv:1604.06174). Variables are read anew in
    the second run, so a change in between shows. Inputs that f does not use get zeros.

    >>> import headgate as hg
    >>> f = hg.recompute_grad(lambda x: hg.exp(hg.sin(x)))
    >>> x = hg.Variable(0.0)
    >>> with hg.GradientTape() as tape:
    ...     y = f(x)
    >>> tape.gradient(y, x).numpy()
    np.float64(1.0)
    """

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        inputs, structure = _flatten(args)
        with unrecorded(), state.recording.reads() as log:
            plain = [_without_history(item) for item in inputs]
            result = f(*optree.tree_unflatten(structure, plain), **kwargs)
        given = {id(item) for item in inputs}
        variables = list({id(v): v for v in log if v.trainable and id(v) not in given}.values())

        def call(cotangents: list[Tensor], recorded: bool) -> list[Any]:
            with GradientTape() as tape:
                again = [_fresh(item, tape, recorded) for item in inputs]
                outputs = f(*optree.tree_unflatten(structure, again), **kwargs)
            targets = [
                (as_tensor(output), c)
                for output, c in zip(optree.tree_leaves(outputs), cotangents, strict=True)
                if is_inexact(as_tensor(output))
            ]
            sources = [item for item in (*again, *variables) if type(item) in (Tensor, Variable)]
            found = iter(
                tape._gradient(
                    [target for target, _ in targets],
                    sources,
                    [c for _, c in targets],
                    unconnected_gradients="zero",
                    inside=True,
                )
            )
            return [
                next(found) if type(item) in (Tensor, Variable) else None
                for item in (*again, *variables)
            ]

        return record_custom(getattr(f, "__name__", "f"), result, [*inputs, *variables], call)

    return wrapper


def _without_history(item: Any) -> Any:
    return constant(item.value) if type(item) is Tensor else item


def _fresh(item: Any, tape: GradientTape, recorded: bool) -> Any:
    """Return an input for the second run, watched; with its history if that run is recorded."""
    if type(item) is not Tensor:
        return item
    again = tensor_of(item.value, item.node if recorded else None)
    if is_inexact(again):
        tape.watch(again)
    return again


def grad_pass_through(f: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function so that gradient passes it unchanged, as if it were the identity.

    >>> import headgate as hg
    >>> x = hg.Variable(2.6)
    >>> with hg.GradientTape() as tape:
    ...     y = hg.grad_pass_through(hg.round)(x) * 2.0
    >>> y.numpy(), tape.gradient(y, x).numpy()
    (np.float64(6.0), np.float64(2.0))
    """

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
