"""Entrances: what TensorFlow does not show in public, each behind one small function.

The tests call each of these by itself and say which one a new version of TensorFlow has broken:
`tests/peers/test_tensorflow_watcher.py`. Everything else that the watcher uses is public.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.python import pywrap_tfe
from tensorflow.python.eager import backprop, context, record
from tensorflow.python.eager.polymorphic_function import concrete_function
from tensorflow.python.framework import op_callbacks, ops
from tensorflow.python.ops import resource_variable_ops, script_ops
from tensorflow.python.util import tf_stack

EagerTensor: Any = ops.EagerTensor
TENSOR: Any = ops._EagerTensorBase
"""The class whose methods show an eager tensor to Python and NumPy."""

VARIABLE: Any = resource_variable_ops.BaseResourceVariable
TAPE: Any = tf.GradientTape
FUNCTION: Any = concrete_function.ConcreteFunction
"""What runs when a compiled function is called, with tensors alone."""

SCRIPTS: Any = script_ops
"""The module of functions that are given arrays."""

RECORD: Any = record
"""The module through which Python code puts an operation on the tapes."""


def listen(callback: Callable[..., Any]) -> None:
    """Have a function called after each operation in this thread."""
    op_callbacks.add_op_callback(callback)


def leave(callback: Callable[..., Any]) -> None:
    """Have it called no more."""
    op_callbacks.remove_op_callback(callback)


def is_stopped() -> bool:
    """Tell whether all tapes of this thread are paused, as within `stop_gradient`."""
    return bool(pywrap_tfe.TFE_Py_TapeSetIsStopped())


def is_recorded(tensor: Any) -> bool:
    """Tell whether some tape of this thread follows a tensor."""
    return bool(record.should_record_backprop([tensor]))


def rule() -> Callable[..., Any]:
    """Return the function that tapes ask for the gradient of an operation."""
    found: Callable[..., Any] = backprop._gradient_function
    return found


def set_rule(function: Callable[..., Any]) -> None:
    """Have tapes ask another function."""
    pywrap_tfe.TFE_Py_RegisterGradientFunction(function)


def has_rule(op: str) -> bool:
    """Tell whether a gradient is known for an operation, perhaps one that is None."""
    try:
        return ops._gradient_registry.lookup(op) is not None
    except LookupError:
        return False


def number_of(tensor: Any) -> int:
    """Return the number that TensorFlow itself knows a tensor by; no other one ever has it."""
    found: int = tensor._id
    return found


def content(tensor: Any) -> Any:
    """Return the numbers in an eager tensor as an array, without anybody being told."""
    return tensor._numpy()


def is_eager(tensor: Any) -> bool:
    """Tell whether something is a tensor that has numbers."""
    return isinstance(tensor, EagerTensor)


def graph_of(graph: Any, name: str) -> Any:
    """Return the graph of a function that a graph calls, None if it is not known."""
    while graph is not None:
        function = graph._get_function(name)
        if function is not None:
            return getattr(function, "graph", None)
        graph = getattr(graph, "outer_graph", None)
    return None


def stack() -> Any:
    """Return the stack as TensorFlow tells it: with the lines of the program as it is written."""
    return tf_stack.extract_stack()


def eagerly() -> Any:
    """Return a context in which operations run at once, also while a graph is made."""
    return context.eager_mode()
