"""Symbols: what stands for a value while a model is put together from calls of layers.

A symbol carries an example of its value, one sample of zeros. A layer called on symbols runs on
their examples, so shapes need no rules of their own, and the call is noted down; a model made from
inputs and outputs repeats the calls between them.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import optree

from headgate.core.tensor import Tensor
from headgate.record.graph import unrecorded


class Symbol:
    """A value that a model will be given or compute: an example of it, and the call that makes it.

    Layers accept symbols, and so do operators and indexing: `x + y`, `x[:, 0]`.
    """

    __slots__ = ("call", "example")

    __array_ufunc__ = None  # so that `array + symbol` is left to the symbol

    def __init__(self, example: Tensor, call: Call) -> None:
        self.example = example
        self.call = call

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Sizes of all axes; None for the first one, the batch."""
        return (None, *self.example.shape[1:])

    @property
    def dtype(self) -> Any:
        """Type of the elements."""
        return self.example.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.example.ndim

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            f"a symbol of shape {self.shape} has no value yet, so only layers, operators and "
            "indexing accept it; to use another function of tensors, wrap it in Lambda(function)"
        )

    def __repr__(self) -> str:
        return f"<Symbol shape={self.shape}, dtype={self.dtype}>"


_BINARY = "add", "sub", "mul", "truediv", "pow", "matmul"
_OPERATORS = (
    *(f"__{name}__" for name in _BINARY),
    *(f"__r{name}__" for name in _BINARY),
    *("__neg__", "__abs__", "__getitem__"),
)


def _noting(name: str) -> Callable[..., Any]:
    def method(self: Symbol, *others: Any) -> Any:
        return note(functools.partial(_operate, name), (self, *others), {})

    return method


def _operate(name: str, x: Any, *others: Any) -> Any:
    """Apply an operator of tensors by name: a call that can be pickled."""
    return getattr(Tensor, name)(x, *others)


for _name in _OPERATORS:
    setattr(Symbol, _name, _noting(_name))


@dataclass(frozen=True, eq=False, slots=True)
class Call:
    """One call of a function, mostly a layer, on symbols; calls are numbered as they are made."""

    number: int
    function: Callable[..., Any]
    args: tuple[Any, ...]
    options: dict[str, Any]
    outputs: list[Symbol]


_call_numbers = itertools.count()


def symbols(tree: Any) -> list[Symbol]:
    """Return the symbols in a structure."""
    return [leaf for leaf in optree.tree_leaves(tree) if type(leaf) is Symbol]


def note(
    function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], **instead: Any
) -> Any:
    """Run a function on its symbols' examples; return the results as symbols.

    Args:
        function: what is called.
        args: of the call.
        options: of the call.
        instead: options of the run on examples that differ from those of the call.
    """
    given: Any = (args, {**options, **instead})
    of_examples: Any = optree.tree_map(
        lambda leaf: leaf.example if type(leaf) is Symbol else leaf, given
    )
    with unrecorded():
        examples = function(*of_examples[0], **of_examples[1])
    return noted(function, args, options, examples)


def noted(function: Any, args: tuple[Any, ...], options: dict[str, Any], examples: Any) -> Any:
    """Return symbols for the results of a call, given examples of them."""
    call = Call(next(_call_numbers), function, args, options, [])
    flat, structure = optree.tree_flatten(examples)
    call.outputs.extend(Symbol(example, call) for example in flat)
    return optree.tree_unflatten(structure, call.outputs)


def calls_between(inputs: list[Symbol], outputs: list[Symbol]) -> list[Call]:
    """Return the calls that lead from inputs to outputs, in the order in which they were made."""
    given = {id(symbol) for symbol in inputs}
    found: dict[int, Call] = {}
    todo = [symbol for symbol in outputs if id(symbol) not in given]
    while todo:
        symbol = todo.pop()
        call = symbol.call
        if call.number in found:
            continue
        arguments = symbols((call.args, call.options))
        if not arguments:
            raise ValueError(
                f"the outputs depend on an input of shape {symbol.shape}, from {call.function!r}, "
                "that is not among the inputs of the model"
            )
        found[call.number] = call
        todo.extend(s for s in arguments if id(s) not in given)
    return [found[number] for number in sorted(found)]
