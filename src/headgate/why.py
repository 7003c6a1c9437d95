"""Why: questions about programs that are not written with Headgate, asked from Python.

`headgate why script.py` asks them of a whole script. Here the same watchers are entered around a
block (`watching`), asked about one loss (`torch`) or function (`jax`), or put into the loops of
others, which have a place for callbacks (`lightning`, `transformers`). What they answer is an
`Account`, as that of `headgate.trace()` is: `print` shows the findings, a notebook the map.

Nothing here imports another library before it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from headgate.flow.watch.torch.watch import Watch

if TYPE_CHECKING:
    from headgate.flow.watch.jax.question import Answer as JaxAnswer
    from headgate.flow.watch.tensorflow.question import Answer as TensorFlowAnswer
    from headgate.flow.watch.torch.question import Answer


def watching(*, step: int | None = None, every: int | None = None) -> Watch:
    """Look on at what a block computes with PyTorch and differentiates; a context manager.

    Of a line that asks for gradients the first three passes are looked at, and one after any that
    brought something else than before. Where the model and its optimizer were made does not matter.

    Args:
        step: a pass of each such line, from 0, that is looked at in any case.
        every: how far apart the passes are that are looked at: 1 for all of them.

    Returns:
        What was seen. `findings()` lists what is wrong, `str()` says it as `headgate why` does,
        `json()` is for programs, `html()` is the map as a page, and a notebook shows that page.

    >>> import headgate
    >>> with headgate.why.watching() as watch:
    ...     pass  # the forward pass, loss.backward(), optimizer.step()
    >>> watch.findings()
    []
    """
    return Watch(step, every)


def torch(loss: Any, sources: Any) -> Answer:
    """Say which parameters a loss of PyTorch reaches, and what cuts the others, at which line.

    Asked within `watching`, it knows every line. Outside of it the graph of the loss is all there
    is: that tells what is connected, and where a gradient becomes zero or NaN, but not what cut
    the rest. Nothing is changed: the graph is kept, and no `.grad` is written.

    Args:
        loss: a tensor, a list of tensors that are added, or a function without arguments that
            computes the loss, and is called while somebody looks on.
        sources: a module or an optimizer, which stand for their parameters; a tensor; a pattern of
            names (`"encoder.*"`); or a list or dictionary of these.

    Raises:
        TypeError: the loss is no tensor, or a source is none of these.
        ValueError: there are no sources, or none has such a name.
    """
    from headgate.flow.watch.torch.question import ask

    return ask(loss, sources)


def jax(
    fun: Callable[..., Any],
    *args: Any,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    **kwargs: Any,
) -> JaxAnswer:
    """Say which arrays the gradient of a function of JAX reaches, and what cuts the others.

    The function is called once more to read its equations, and differentiated once; what it returns
    need not be a scalar. Give it the arguments that the program gives it, with their values.

    Args:
        fun: the function, as `jax.grad` would take it.
        *args: what it is called with.
        argnums: which of these arguments it would be differentiated by.
        has_aux: whether it returns something else beside what is differentiated.
        **kwargs: further arguments by name.

    Raises:
        TypeError: it is no function, or the arguments have no values, as within `jit`.
        ValueError: there is nothing to differentiate by.

    >>> import headgate, jax, jax.numpy as jnp
    >>> params = {"enc": jnp.ones(3), "dec": jnp.ones(3)}
    >>> def loss(p, x):
    ...     return jnp.sum(jax.lax.stop_gradient(x * p["enc"]) * p["dec"])
    >>> answer = headgate.why.jax(loss, params, jnp.ones(3))
    >>> [(finding.parameter, finding.kind) for finding in answer.findings()]
    [("params['enc']", 'stop_gradient')]
    """
    from headgate.flow.watch.jax.question import ask

    return ask(fun, args, argnums, has_aux, kwargs)


def tensorflow(tape: Any, loss: Any, variables: Any) -> TensorFlowAnswer:
    """Say which variables a loss on a tape of TensorFlow reaches, and what cuts the others.

    Asked within `watching`. A persistent tape is asked, and goes on as it was; one that is not can
    be asked only once, and is left to the program: then sizes are not known.

    Args:
        tape: the `tf.GradientTape` that recorded the loss.
        loss: a tensor, or several that are added.
        variables: a model, a layer or an optimizer of Keras, which stand for their variables; a
            variable or a tensor; a pattern of names (`"encoder/*"`); or a structure of these.

    Raises:
        TypeError: the tape is none, the loss is no tensor, or a variable is none of these.
        ValueError: nobody looked on, or there are no variables.
    """
    from headgate.flow.watch.tensorflow.question import ask

    return ask(tape, loss, variables)


def lightning(steps: int = 10, *, strict: bool = False) -> Any:
    """Return a callback that looks at the first steps of Lightning's `Trainer.fit`.

    It prints what it found after these steps, and leaves everything as it was before.

    Args:
        steps: of optimizers, that are looked at.
        strict: raise a `headgate.testing.flow.FlowError` if anything is found.

    Returns:
        For `Trainer(callbacks=[headgate.why.lightning()])`. Its attribute `watch` has what was
        seen, for `findings()` and `html()`.
    """
    from headgate.flow.watch.torch.loops import for_lightning

    return for_lightning(steps, strict)


def transformers(steps: int = 10, *, strict: bool = False) -> Any:
    """Return a callback that looks at the first steps of `Trainer.train` of Transformers.

    It prints what it found after these steps, and leaves everything as it was before.

    Args:
        steps: of the optimizer, that are looked at.
        strict: raise a `headgate.testing.flow.FlowError` if anything is found.

    Returns:
        For `Trainer(callbacks=[headgate.why.transformers()])`. Its attribute `watch` has what was
        seen, for `findings()` and `html()`.
    """
    from headgate.flow.watch.torch.loops import for_transformers

    return for_transformers(steps, strict)
