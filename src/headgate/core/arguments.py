"""Arguments of a tape: targets, sources and cotangents, taken apart and checked once.

Each may be a structure of tensors and variables. What comes out are flat lists, which everything
behind works on, and the structure in which the results go back. What single numbers, names and
shapes may be is checked by `headgate.core.checks`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import optree

from headgate.core.lift import as_tensor
from headgate.core.namespace import NUMPY, Array, owner
from headgate.core.tensor import Tensor, constant
from headgate.core.variable import Variable
from headgate.record.errors import describe, refusal


def leaves_of(tree: Any) -> list[Any]:
    """Return the leaves of a structure, None among them."""
    if type(tree) is Tensor or type(tree) is Variable:
        return [tree]
    leaves: list[Any] = optree.tree_leaves(tree, none_is_leaf=True)
    return leaves


def value_of(given: Any) -> Array:
    """Return the array of a tensor or variable."""
    return given._value if type(given) is Variable else given.value


def flat_targets(target: Any) -> list[Any]:
    """Return the leaves of a target; refuse what is no tensor."""
    if type(target) is Tensor or type(target) is Variable:
        return [target]
    leaves = leaves_of(target)
    for leaf in leaves:
        if type(leaf) is not Tensor and type(leaf) is not Variable:
            _refuse(leaf, "target")
    return leaves


def flat_sources(sources: Any) -> tuple[list[Any], Any]:
    """Return the leaves of the sources and what `restored` needs; refuse what is no tensor."""
    if type(sources) is Tensor or type(sources) is Variable:
        return [sources], None
    if type(sources) is list and all(type(s) is Variable or type(s) is Tensor for s in sources):
        return sources, list
    flat, structure = optree.tree_flatten(sources, none_is_leaf=True)
    for leaf in flat:
        if type(leaf) is not Tensor and type(leaf) is not Variable:
            _refuse(leaf, "sources")
    return flat, structure


def asked_sources(sources: Any) -> tuple[list[Any], Any]:
    """Do what `flat_sources` does, with their variables in place of models, layers, optimizers."""
    if type(sources) is not Tensor and type(sources) is not Variable:
        sources = optree.tree_map(_with_variables, sources, none_is_leaf=True)
    return flat_sources(sources)


def _with_variables(leaf: Any) -> Any:
    if type(leaf) is Tensor or type(leaf) is Variable:
        return leaf
    for attribute in ("trainable_variables", "variables"):
        found = getattr(leaf, attribute, None)
        if isinstance(found, list | tuple) and found:
            return list(found)
    if isinstance(getattr(leaf, "variables", None), list | tuple):
        raise refusal(
            ValueError,
            f"{getattr(leaf, 'name', describe(leaf))} has no variables; build it or call it first",
        )
    return leaf


def restored(structure: Any, results: list[Any]) -> Any:
    """Return results in the structure of the sources."""
    if structure is None:
        return results[0]
    if structure is list:
        return results
    return optree.tree_unflatten(structure, results)


def _refuse(leaf: Any, what: str) -> None:
    cure = "it left the tape (float(), numpy(), NumPy functions) or never was on it"
    if leaf is None:
        cure = "the forward pass returned nothing"
    elif hasattr(leaf, "trainable_variables"):
        cure = "give its variables, as in model.trainable_variables"
    raise refusal(
        TypeError,
        f"Argument `{what}` should be a Tensor or Variable, or a nested structure of them, "
        "but it has "
        f"{describe(leaf) if leaf is not None else 'None'}: {cure}",
    )


def one_tensor(method: str, what: str, given: Any) -> None:
    """Refuse a structure where one tensor is meant."""
    if isinstance(given, list | tuple | dict):
        inside = f"[{describe(given[0])}]" if isinstance(given, list) and len(given) == 1 else ""
        cure = "pass its only entry" if len(given) == 1 else "call it once for each entry"
        raise refusal(
            TypeError,
            f"{method} takes one tensor as its {what}, a {type(given).__name__} {inside} "
            f"has no shape; {cure}".replace("  ", " "),
        )


class Words(NamedTuple):
    """What a function calls its cotangents, and what they belong to."""

    cotangents: str
    target: str


OF_TAPES = Words("output_gradients", "target")
OF_PULLS = Words("vjp: cotangents", "result")


def flat_cotangents(targets: list[Any], given: Any, words: Words = OF_TAPES) -> list[Tensor | None]:
    """Return one cotangent per target, each checked against it; None stands for ones."""
    if given is None:
        return [None] * len(targets)
    if isinstance(given, list | tuple | dict):
        single = len(targets) == 1 and isinstance(given, list | tuple) and len(given) != 1
        flat = [given] if single and not _leaves_are_tensors(given) else leaves_of(given)
    else:
        flat = [given]
    if len(flat) != len(targets):
        raise refusal(
            ValueError,
            f"{words.cotangents} has {len(flat)} entries for {len(targets)} {words.target}(s); "
            "give one each",
        )
    return [
        _cotangent(target, c, f"{words.cotangents}[{k}]", words.target)
        for k, (target, c) in enumerate(zip(targets, flat, strict=True))
    ]


def _leaves_are_tensors(given: Any) -> bool:
    return any(type(leaf) in (Tensor, Variable) for leaf in leaves_of(given))


def _cotangent(target: Any, given: Any, name: str, whose: str) -> Tensor:
    if given is None:
        raise refusal(ValueError, f"{name} is None; give zeros, or leave the {whose} out")
    c = as_tensor(given)
    if type(given) not in (Tensor, Variable) and c.dtype != target.dtype:
        c = constant(np.asarray(c.value).astype(plain_dtype(target)))
    if c.dtype != target.dtype:
        raise refusal(
            ValueError,
            f"{name} has the dtype {c.dtype} and its {whose} {target.dtype}; "
            "convert one of them with headgate.astype",
        )
    try:
        fits = np.broadcast_shapes(c.shape, target.shape) == target.shape
    except ValueError:
        fits = False
    if not fits:
        raise refusal(
            ValueError,
            f"Incompatible shapes: {name} has the shape {c.shape} and its {whose} {target.shape}",
        )
    return c


def wants_zeros(value: Any) -> bool:
    """Tell which `unconnected_gradients` was asked for; refuse anything else."""
    name = getattr(value, "value", value)
    if name not in ("none", "zero"):
        raise refusal(
            ValueError,
            f"Unknown value for unconnected_gradients: {value!r}; it is 'none' or 'zero'",
        )
    return bool(name == "zero")


def zeros_like(source: Any) -> Tensor:
    """Return zeros of the shape and dtype of a tensor or variable."""
    value = value_of(source)
    return constant(owner[type(value)].zeros_like(value))


def plain_dtype(source: Any) -> Any:
    """Return the dtype of a tensor or variable as NumPy has it."""
    return NUMPY.array_module.dtype(source.dtype)
