"""`tf.nest`: nested structures of anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optree

from headgate.record.errors import refusal


def is_nested(structure: Any) -> bool:
    """Tell whether a value is a list, tuple or dictionary."""
    return not optree.tree_is_leaf(structure)


def flatten(structure: Any, expand_composites: bool = False) -> list[Any]:
    """Return what is in a structure as one list; dictionaries by the order of their keys.

    >>> import headgate.tf as tf
    >>> tf.nest.flatten({"b": [1, 2], "a": 3})
    [3, 1, 2]
    """
    return optree.tree_leaves(structure, none_is_leaf=True)


def map_structure(func: Callable[..., Any], *structure: Any, **kwargs: Any) -> Any:
    """Call a function with the items of structures of one form; return a structure of results.

    >>> import headgate.tf as tf
    >>> tf.nest.map_structure(lambda x, y: x + y, [1, (2,)], [3, (4,)])
    [4, (6,)]
    """
    for option in kwargs:
        if option not in ("check_types", "expand_composites"):
            raise TypeError(f"map_structure() got an unexpected keyword argument {option!r}")
    for other in structure[1:]:
        assert_same_structure(structure[0], other, kwargs.get("check_types", True))
    first, *others = structure
    return optree.tree_map(func, first, *others, none_is_leaf=True)


def pack_sequence_as(structure: Any, flat_sequence: Any, expand_composites: bool = False) -> Any:
    """Return a list as a structure of a given form.

    >>> import headgate.tf as tf
    >>> tf.nest.pack_sequence_as({"a": 0, "b": [0]}, [1, 2])
    {'a': 1, 'b': [2]}
    """
    form = optree.tree_structure(structure, none_is_leaf=True)
    items = list(flat_sequence)
    if form.num_leaves != len(items):
        raise refusal(
            ValueError, f"the structure holds {form.num_leaves} items, and there are {len(items)}"
        )
    return optree.tree_unflatten(form, items)


def assert_same_structure(
    nest1: Any, nest2: Any, check_types: bool = True, expand_composites: bool = False
) -> None:
    """Raise unless two structures have the same form."""
    one, other = (optree.tree_structure(nest, none_is_leaf=True) for nest in (nest1, nest2))
    if one.num_leaves != other.num_leaves or (check_types and one != other):
        kind = ValueError if one.num_leaves != other.num_leaves else TypeError
        raise refusal(kind, f"structures of different forms: {one} and {other}")


__all__ = ["assert_same_structure", "flatten", "is_nested", "map_structure", "pack_sequence_as"]
