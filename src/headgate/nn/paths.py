"""Names of layers and variables: paths such as `encoder/dense_1/kernel`.

A layer that was given no name has the name of the attribute that it is in, or in a list one after
its class, counted within the layer that holds it; so the names do not depend on what else a program
has made. The layer that holds others names them before anything in it is built: `name_members`
looks through its attributes, and `take` gives one layer its name, holder and path, once.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from operator import setitem
from typing import TYPE_CHECKING, Any

from headgate.core.variable import Variable, in_one_go
from headgate.naming import is_automatic, plain_name

if TYPE_CHECKING:
    from headgate.nn.layer import Layer

# -- what is in a layer ----------------------------------------------------------------------------


class _Roles(dict[type, str]):
    """What the values of a type are to a layer; each type is looked at once."""

    def __missing__(self, kind: type) -> str:
        from headgate.nn.layer import Layer

        found = ""
        for base, role in ((Layer, "layer"), (list, "several"), (tuple, "several"), (dict, "dict")):
            if issubclass(kind, base):
                found = role
        self[kind] = found
        return found


_roles = _Roles({Variable: "variable"})


def sort_out(values: Iterable[Any], variables: list[Variable], layers: list[Layer]) -> None:
    """Put the variables and layers among some values, or in structures there, on their lists."""
    for value in values:
        role = _roles[type(value)]
        if role:
            if role == "variable":
                variables.append(value)
            elif role == "layer":
                layers.append(value)
            else:
                sort_out(value if role == "several" else value.values(), variables, layers)


def own_variables(layer: Layer) -> Iterator[tuple[str, Variable]]:
    """Yield the variables that a layer holds itself, each with the last part of its name."""
    seen: set[int] = set()
    for attribute, value in vars(layer).items():
        variables: list[Variable] = []
        sort_out([value], variables, [])
        for number, variable in enumerate(variables):
            if id(variable) in seen:
                continue
            seen.add(id(variable))
            if attribute == "_weights":
                yield variable.name.rpartition("/")[2], variable
            elif type(value) is Variable:
                yield attribute.strip("_"), variable
            else:
                yield f"{attribute.strip('_')}_{number}", variable


# -- giving names ----------------------------------------------------------------------------------


def name_members(holder: Layer) -> None:
    """Name the layers that a layer holds after their places, unless another one did."""
    for attribute, value in vars(holder).items():
        if _roles[type(value)] == "layer":
            take(holder, value, attribute.strip("_"))
        elif _roles[type(value)]:
            layers: list[Layer] = []
            sort_out([value], [], layers)
            for layer in layers:
                take(holder, layer, plain_name(type(layer).__name__))


def take(holder: Layer, layer: Layer, wish: str) -> None:
    """Name a layer after its place in the one that holds it, unless another one did."""
    if layer._holder is not None or layer is holder:
        return
    number, name, reference = holder._names[wish], layer.name, weakref.ref(holder)
    if not layer._name_given:
        name = f"{wish}_{number}" if number else wish
        number += 1
    named = (vars(layer).update, {"_holder": reference, "name": name})
    in_one_go([named, (setitem, holder._names, wish, number)])
    rename(layer)


def rename(layer: Layer) -> None:
    """Give the variables that are there already, here and in all layers inside, their paths."""
    made_here = {id(variable) for variable in layer._weights}
    for name, variable in own_variables(layer):
        if id(variable) in made_here or is_automatic(variable.name):
            variable.name = variable._source.name = f"{layer.path}/{name}"
    for inner in layer._members()[1]:
        if is_held(inner, layer):
            rename(inner)
    name_members(layer)


def is_held(layer: Layer, holder: Layer) -> bool:
    """Tell whether a layer has its name from the one that holds it."""
    return layer._holder is not None and layer._holder() is holder


# -- asking for names ------------------------------------------------------------------------------


def paths(layer: Layer) -> list[tuple[str, Layer, Variable]]:
    """Return path, holder and variable for each variable within a layer, each variable once."""
    name_members(layer)
    found: dict[str, tuple[str, Layer, Variable]] = {}
    seen: set[int] = set()

    def visit(layer: Layer, prefix: str) -> None:
        if id(layer) in seen:
            return
        seen.add(id(layer))
        for name, variable in own_variables(layer):
            if id(variable) not in seen:
                seen.add(id(variable))
                path = _unlike(prefix + name, found)
                found[path] = path, layer, variable
        taken: set[str] = set()
        for inner in layer._members()[1]:
            if id(inner) not in seen:
                inner_name = _unlike(inner.name, taken)
                taken.add(inner_name)
                visit(inner, f"{prefix}{inner_name}/")

    visit(layer, "")
    return list(found.values())


def _unlike(name: str, taken: Iterable[str]) -> str:
    """Return a name, with a number added if it is taken."""
    number, found = 1, name
    while found in taken:
        found = f"{name}_{number}"
        number += 1
    return found
