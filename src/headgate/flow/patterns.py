"""Patterns: which parameters a user speaks of, and at which gradient calls.

`target/*` stands for parameters by their names; `*` matches anything, `?` one character, and
brackets themselves (`meta['log_rate'][*]`) or one of the characters in them.
`target/*@critic_step` speaks only of gradient calls in the function `critic_step`, and
`target/*@train.py:31` of those at that line. So one can speak of one of the two steps of a GAN.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from headgate.flow.trace import Place


def names_it(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether a parameter is meant by a pattern, whatever the call."""
    return any(covers_name(name, pattern) for pattern in patterns if "@" not in pattern)


def names_it_at(name: str, call: Place, patterns: Iterable[str]) -> bool:
    """Tell whether a parameter is meant by a pattern, at a certain gradient call."""
    return any(covers_name(name, pattern) and covers_call(call, pattern) for pattern in patterns)


def covers_name(name: str, pattern: str) -> bool:
    """Tell whether the part of a pattern that stands for names fits one."""
    return pattern == name or _fits(name, pattern.partition("@")[0])


def covers_call(call: Place, pattern: str) -> bool:
    """Tell whether the part of a pattern that stands for calls, if it has one, fits a call."""
    where = pattern.partition("@")[2]
    return not where or _fits(function_of(call), where) or _fits(line_of(call), where)


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern.replace("[", "[[]")) or fnmatchcase(name, pattern)


def with_aliases(patterns: Sequence[str], aliases: Iterable[tuple[str, str]]) -> list[str]:
    """Return patterns, and for those that fit an alias of a parameter one for its name, too.

    >>> from headgate.flow.patterns import with_aliases
    >>> with_aliases(["variable_2@step", "w"], [("target", "variable_2")])
    ['variable_2@step', 'w', 'target@step']
    """
    known, more = [(name, alias) for name, alias in aliases if alias], []
    for pattern in patterns:
        _, at, where = pattern.partition("@")
        more += [name + at + where for name, alias in known if covers_name(alias, pattern)]
    return [*patterns, *more]


def function_of(call: Place) -> str:
    """Return the name of the function that a call lies in."""
    return call.function.rpartition(".")[2]


def line_of(call: Place) -> str:
    """Return the line of a call, as in `train.py:31`."""
    return f"{os.path.basename(call.file)}:{call.line}"
