"""What the variables of a TensorFlow program are called.

One of Keras's has a path (`encoder/dense/kernel`), and people know it by that. Any other one is
called what the program calls it where it is now: `w`, `model.encoder.kernel`; failing that, by the
name that it was given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from headgate.flow.watch.tensorflow import entrance
from headgate.flow.watch.tensorflow.values import plain
from headgate.record.names import paths_to

_GIVEN_BY_NONE = re.compile(r"(Variable|variable)(_\d+)?$")


def path_of(variable: Any) -> str:
    """Return the path of a variable of Keras's, "" of any other."""
    if isinstance(variable, entrance.VARIABLE):
        return ""
    path = getattr(variable, "path", "")
    return path if isinstance(path, str) else ""


def own_name(variable: Any) -> str:
    """Return the name that a variable was given, "" if it was given none."""
    name = str(getattr(variable, "name", "")).removesuffix(":0")
    return "" if _GIVEN_BY_NONE.match(name) else name


def names_in_frames(variables: Mapping[int, Any]) -> dict[int, str]:
    """Return what the program calls some variables: their ids -> names."""

    def stands_for(value: Any) -> int:
        held = plain(value)
        return id(held) if held is not value else 0

    found = paths_to(set(variables), stands_for)
    return {key: paths[0] for key, paths in found.items() if paths}
