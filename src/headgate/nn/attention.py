"""Attention: each position of a query takes a weighted mean of the values at other positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from headgate.core.checks import optional, wholes
from headgate.core.lift import as_tensor
from headgate.core.tensor import Tensor, constant
from headgate.core.variable import Variable
from headgate.nn.core import dropped, seeded
from headgate.nn.initializers import get_initializer
from headgate.nn.layer import Layer, Shape
from headgate.nn.options import check_axes, positive, ranged, switch
from headgate.ops.elementwise import logical_and, where
from headgate.ops.functional import softmax
from headgate.ops.linalg.products import matmul
from headgate.ops.shape import permute_dims, reshape


class _Projection(Layer):
    """A dense layer from the last axes of its input, `taken` of them, to axes of some sizes."""

    def __init__(self, sizes: Shape | None, taken: int, initializers: Any, **options: Any) -> None:
        super().__init__(**options)
        self._sizes: Shape = sizes or ()
        self.sized = sizes is not None  # if not, the layer around finds the size
        self._taken = taken
        self.kernel_initializer, self.bias_initializer = initializers
        self.bias: Variable | None = None

    def build(self, input_shape: Shape) -> None:
        """Make kernel and bias; without an initializer there is no bias."""
        given = input_shape[-self._taken :]
        self._inputs = math.prod(given)
        self.kernel = self.add_weight(
            (*given, *self._sizes), self.kernel_initializer, name="kernel"
        )
        if self.bias_initializer is not None:
            self.bias = self.add_weight(self._sizes, self.bias_initializer, name="bias")

    def call(self, x: Any) -> Any:
        """Multiply as matrices, add."""
        outputs = math.prod(self._sizes)
        around = x.shape[: -self._taken]
        rows = reshape(x, (math.prod(around), self._inputs))
        y = matmul(rows, reshape(self.kernel, (self._inputs, outputs)))
        if self.bias is not None:
            y = y + reshape(self.bias, (outputs,))
        return reshape(y, (*around, *self._sizes))


def _lowest(dtype: Any) -> float:
    """Return the lowest number of a dtype; bfloat16 reaches as far as float32."""
    return float(np.finfo(np.float32 if dtype.kind == "V" else dtype).min)


class MultiHeadAttention(Layer):
    """Let each position of a query take, in several ways at once, a weighted mean of values.

    Query, key and value are projected once per head. The weights are the softmax of the products of
    query and key, divided by the root of `key_dim`. The means of all heads are projected to the
    result. The layers `query`, `key`, `value` and `attention_output` in this one project.

    Args:
        num_heads: number of heads.
        key_dim: size of query and key in each head.
        value_dim: size of the value in each head; `key_dim` if left out.
        dropout: probability of a weight to be dropped in training.
        use_bias: whether the projections have biases.
        output_shape: of each position of the result; the size of the query's if left out.
        kernel_initializer: for the kernels, of shape (size, num_heads, key_dim), with value_dim for
            the value, and (num_heads, value_dim, *output_shape).
        bias_initializer: for the biases, of these shapes without the sizes of the input.
        seed: for a generator of the layer's own, for the dropout.
        options: those of `Layer`.

    A call takes `query`, (batch, positions, size), `value`, (batch, others, size), and `key`, which
    is the value if left out. `attention_mask`, (batch, positions, others) or what broadcasts to it,
    is false where nothing may be taken from; `use_causal_mask` is a mask of what comes later.
    With `return_attention_scores` the weights, (batch, heads, positions, others), are returned too.

    Raises:
        ValueError: inputs or a mask that do not fit each other.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> layer = nn.MultiHeadAttention(num_heads=2, key_dim=4)
    >>> x = hg.ones((3, 5, 8))
    >>> y, scores = layer(x, x, use_causal_mask=True, return_attention_scores=True)
    >>> y.shape, scores.shape, layer.query.kernel.shape
    ((3, 5, 8), (3, 2, 5, 5), (8, 2, 4))
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        *,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.num_heads = positive(self, "num_heads", num_heads)
        self.key_dim = positive(self, "key_dim", key_dim)
        self.value_dim = positive(self, "value_dim", key_dim if value_dim is None else value_dim)
        self.dropout = ranged(self, "dropout", dropout, "[0, 1]")
        self._generator, self.seed_state = seeded(seed)
        sizes = optional(wholes, "MultiHeadAttention", "output_shape", output_shape, 1)
        initializers = (
            get_initializer(kernel_initializer),
            get_initializer(bias_initializer) if switch(self, "use_bias", use_bias) else None,
        )
        shared = {"dtype": self.dtype, "trainable": self.trainable}
        of_key, of_value = (self.num_heads, self.key_dim), (self.num_heads, self.value_dim)
        self.query = _Projection(of_key, 1, initializers, name="query", **shared)
        self.key = _Projection(of_key, 1, initializers, name="key", **shared)
        self.value = _Projection(of_value, 1, initializers, name="value", **shared)
        self.attention_output = _Projection(
            sizes, 2, initializers, name="attention_output", **shared
        )
        for layer in (self.query, self.key, self.value, self.attention_output):
            layer.regularizers = self.regularizers

    def _build(self, input_shape: Any) -> None:
        """Let the call under way build the projections: only there all shapes are known."""
        self.built = True

    def build(self, input_shape: Any) -> None:
        """Make the weights, given the shape of query, key and value, or a list of their shapes."""
        shapes = input_shape if isinstance(input_shape[-1], list | tuple) else [input_shape] * 2
        query, value, *key = shapes
        self.query.build(query)
        self.key.build(key[0] if key else value)
        self.value.build(value)
        self._size_output(query)
        self.attention_output.build((*query[:-1], self.num_heads, self.value_dim))

    def _size_output(self, query: Shape) -> None:
        if not self.attention_output.sized:
            self.attention_output._sizes, self.attention_output.sized = (query[-1],), True

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        *,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """Project, weigh, take means, project."""
        query, value = as_tensor(query), as_tensor(value)
        key = value if key is None else as_tensor(key)
        for x in (query, value, key):
            check_axes(self, x.shape, "NTC")
        if not query.shape[0] == value.shape[0] == key.shape[0] or key.shape[1] != value.shape[1]:
            raise ValueError(
                f"layer {self.name!r} needs batches of one size, and as many keys as values; it "
                f"was given shapes {query.shape} (query), {value.shape} (value) and {key.shape} "
                "(key)"
            )
        self._size_output(query.shape)
        # Now with the heads on axis 1, so that the last two axes are matrices.
        queries = permute_dims(self.query(query) * (1.0 / math.sqrt(self.key_dim)), (0, 2, 1, 3))
        keys = permute_dims(self.key(key), (0, 2, 3, 1))
        values = permute_dims(self.value(value), (0, 2, 1, 3))
        scores = matmul(queries, keys)
        mask = self._mask(attention_mask, use_causal_mask, scores.shape)
        if mask is not None:
            # Not minus infinity: where a row is masked as a whole, its weights are to be equal.
            scores = where(mask, scores, _lowest(scores.dtype) / 2)
        weights = kept = softmax(scores)
        if training and self.dropout:
            kept = dropped(weights, self.dropout, weights.shape, self._generator)
        means = permute_dims(matmul(kept, values), (0, 2, 1, 3))
        result = self.attention_output(means)
        return (result, weights) if return_attention_scores else result

    def _mask(self, given: Any, causal: bool, shape: Shape) -> Tensor | None:
        """Return where weights may be other than zero, in a form that broadcasts to `shape`."""
        _, _, positions, others = shape
        before = constant(np.tri(positions, others, dtype=bool)) if causal else None
        if given is None:
            return before
        mask = as_tensor(given)
        if mask.ndim == 3:  # one for all heads
            mask = mask[:, None]
        try:
            fits = np.broadcast_shapes(mask.shape, shape) == shape
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(
                f"layer {self.name!r} needs an attention_mask of shape (batch, positions, others), "
                f"here {(shape[0], positions, others)}, got {as_tensor(given).shape}"
            )
        mask = mask if mask.dtype.kind == "b" else mask != 0
        return mask if before is None else logical_and(mask, before)
