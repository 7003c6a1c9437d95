"""What is asked, in the words of the record (`headgate.record.asked`): made of tensors and
variables here, so that nothing that reads a record needs to know them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from headgate.core.lift import is_inexact
from headgate.core.tensor import Tensor
from headgate.core.variable import Variable
from headgate.naming import is_automatic
from headgate.record.asked import Asked, Question
from headgate.record.graph import Leaf, Recording, Source
from headgate.record.names import paths_to
from headgate.record.site import Site
from headgate.record.verdict import Verdict


def asked(given: Any, name: str = "") -> Asked:
    """Return a tensor or variable as the record knows it, by a name that was found for it."""
    variable, inexact = type(given) is Variable, is_inexact(given)
    node = given._leaf if variable else given.node
    return Asked(
        name=name or _known_name(given) or _described(given),
        itself=given,
        identity=given._source if variable else node.source if type(node) is Leaf else None,
        node=node,
        variable=variable,
        trainable=not variable or given.trainable,
        shape=given.shape,
        # NumPy imports itself to say a dtype in words, and a program may have cleared sys.modules.
        dtype="" if inexact else str(given.dtype),
        inexact=inexact,
    )


def all_asked(given: Sequence[Any]) -> list[Asked]:
    """Return tensors and variables as the record knows them, by the names that they have now."""
    return list(map(asked, given, names_of(given)))


def question(
    recording: Recording | None, bits: int, watches_reads: bool, targets: Sequence[Any]
) -> Question:
    """Return the question what leads to some targets, for the tape that owns these bits."""
    nodes = []
    if recording is not None:
        for target in targets:
            variable = type(target) is Variable
            node = recording.leaves.get(target._source) if variable else target.node
            if node is not None:
                nodes.append(node)
    return Question(recording, bits, watches_reads, tuple(targets), tuple(nodes))


def name_of(given: Any) -> str:
    """Return the name of a tensor or variable, as `names_of` does."""
    return names_of([given])[0]


def names_of(given: Sequence[Any]) -> list[str]:
    """Return what tensors and variables are called: as the user named them, or the program does.

    What was given no name is called after what holds it where the program is now, and keeps that
    name. Different ones get different names.
    """
    keys = list(map(_key, given))
    names = {key: _known_name(each) for key, each in zip(keys, given)}
    shared = Counter(names.values())
    doubtful = {key for key, name in names.items() if not name or shared[name] > 1}
    paths = paths_to(doubtful, _key) if doubtful else {}
    taken = {name for name in names.values() if name and shared[name] == 1}
    for key, each in zip(keys, given):
        if key not in doubtful:
            continue
        doubtful.remove(key)
        known, ways = names[key], paths.get(key, [])
        if not known:
            names[key] = next((way for way in ways if way not in taken), "") or _described(each)
            keep_name(each, names[key])
        elif known in taken and ways:
            names[key] = f"{known} ({ways[0]})"
        number, once = 1, names[key]
        while names[key] in taken:
            number += 1
            names[key] = f"{once} ({number})"
        taken.add(names[key])
    return [names[key] for key in keys]


def find_names(sources: Sequence[Source]) -> None:
    """Call variables that were given no name after what holds them where the program is now."""
    nameless = {id(source): source for source in sources if is_automatic(source.name)}
    if nameless:
        for key, ways in paths_to(nameless, _key).items():
            nameless[key].name = ways[0]


def _key(value: Any) -> int:
    """Return what tells a tensor or variable from others, for as long as it lives."""
    if type(value) is Variable:
        return id(value._source)
    if type(value) is Tensor:
        return id(value.node.source if type(value.node) is Leaf else value)
    return 0


_SHAPE = "tensor of shape "


def _known_name(given: Any) -> str:
    """Return the name that a tensor or variable was given, or that was found earlier."""
    if type(given) is Variable:
        return "" if is_automatic(given.name) else given.name
    source = given.node.source if type(given.node) is Leaf else None
    if source is None or is_automatic(source.name) or source.name.startswith(_SHAPE):
        return ""
    return str(source.name)


def _described(given: Any) -> str:
    """Return what to call something that nothing holds."""
    if type(given) is Variable:
        name = given._source.name
        made = given._source.made
        return f"variable made at {made}" if is_automatic(name) and made is not None else name
    node = given.node
    where = f", made at {Site(*node.site)}" if node is not None and node.site is not None else ""
    return f"{_SHAPE}{given.shape}{where}"


def is_nameless(given: Any) -> bool:
    """Tell whether nobody named a tensor or variable, and nobody found a name for it."""
    return not _known_name(given)


def keep_name(given: Any, name: str) -> None:
    """Let a record know a tensor or variable by a name that was found for it."""
    if type(given) is Variable:
        given._source.name = name
    elif type(given.node) is Leaf:
        given.node.source.name = name


def updated(verdict: Verdict, source: Any, model: Any, optimizer: Any) -> Verdict:
    """Add to the verdict on a connected variable why it is not trained all the same, if so."""
    if verdict.verdict != "connected" or type(source) is not Variable:
        return verdict
    if model is not None and not any(each is source for each in model.variables):
        text = "gradient arrives, but it is not among the variables of the model"
        return replace(verdict, kind="not_registered", detail=text)
    had_steps = {} if optimizer is None else optimizer._state
    if had_steps and source._source not in had_steps:
        text = "gradient arrives, but the optimizer had steps for other variables and none for it"
        return replace(verdict, kind="optimizer_mask", detail=text)
    return verdict
