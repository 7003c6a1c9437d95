"""Pooling over windows, and over the whole of space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from headgate.core.lift import as_tensor
from headgate.core.tensor import Tensor
from headgate.nn.layer import Layer
from headgate.nn.options import check_axes, each, layout_of, one_of, switch
from headgate.ops.elementwise import astype, where
from headgate.ops.pool import avg_pool, max_pool
from headgate.ops.reduce import max, mean, sum
from headgate.ops.shape import expand_dims


class _Pooling(Layer):
    """What pooling layers share."""

    rank: int
    pool: Callable[..., Tensor]

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.pool_size = each(self, "pool_size", pool_size, self.rank)
        self.strides = None if strides is None else each(self, "strides", strides, self.rank)
        self.padding = one_of(self, "padding", padding, ("valid", "same"))
        self.layout = layout_of(self, data_format, self.rank)

    def call(self, x: Any) -> Any:
        """Pool."""
        check_axes(self, x.shape, self.layout)
        return self.pool(
            x, self.pool_size, stride=self.strides, padding=self.padding, layout=self.layout
        )


class MaxPooling1D(_Pooling):
    """Take the largest element of each window of sequences, (batch, steps, channels).

    Its arguments are those of `MaxPooling2D`, with one size and one step.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.MaxPooling1D()(hg.ones((2, 8, 3))).shape
    (2, 4, 3)
    """

    rank = 1
    pool = staticmethod(max_pool)


class MaxPooling2D(_Pooling):
    """Take the largest element of each window of images.

    Args:
        pool_size: size of a window: one for both axes, or one for each.
        strides: steps between windows; `pool_size` if left out.
        padding: "valid" or "same".
        data_format: "channels_last" (default) or "channels_first".
        options: those of `Layer`.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.MaxPooling2D()(hg.ones((2, 8, 8, 3))).shape
    (2, 4, 4, 3)
    """

    rank = 2
    pool = staticmethod(max_pool)


class AveragePooling1D(_Pooling):
    """Take the mean of each window of sequences; arguments are those of `MaxPooling1D`.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.AveragePooling1D()(hg.ones((2, 8, 3))).shape
    (2, 4, 3)
    """

    rank = 1
    pool = staticmethod(avg_pool)


class AveragePooling2D(_Pooling):
    """Take the mean of each window of images; arguments are those of `MaxPooling2D`.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.AveragePooling2D()(hg.ones((2, 8, 8, 3))).shape
    (2, 4, 4, 3)
    """

    rank = 2
    pool = staticmethod(avg_pool)


class _GlobalPooling(Layer):
    """What pooling over the whole of space shares."""

    rank: int
    reduce: Callable[..., Tensor]

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        self.layout = layout_of(self, data_format, self.rank)
        self.keepdims = switch(self, "keepdims", keepdims)
        first = 2 if self.layout[1] == "C" else 1
        self._space = tuple(range(first, first + self.rank))

    def call(self, x: Any) -> Any:
        """Pool."""
        check_axes(self, x.shape, self.layout)
        return self.reduce(x, axis=self._space, keepdims=self.keepdims)


class GlobalAveragePooling1D(_GlobalPooling):
    """Take the mean over all steps of sequences, (batch, steps, channels).

    Args:
        data_format: "channels_last" (default) or "channels_first".
        keepdims: whether the axis of the steps is kept, with size 1.
        options: those of `Layer`.

    A call may have a `mask` of shape (batch, steps): the steps to count.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.GlobalAveragePooling1D()(hg.ones((2, 8, 3))).shape
    (2, 3)
    """

    rank = 1
    reduce = staticmethod(mean)

    def call(self, x: Any, mask: Any = None) -> Any:
        """Pool."""
        if mask is None:
            return super().call(x)
        check_axes(self, x.shape, self.layout)
        (steps,) = self._space
        mask = as_tensor(mask)
        if mask.shape != (x.shape[0], x.shape[steps]):
            raise ValueError(
                f"layer {self.name!r} needs a mask of shape {(x.shape[0], x.shape[steps])} with "
                f"an input of shape {x.shape}, got {mask.shape}"
            )
        counted = expand_dims(astype(mask, bool), axis=3 - steps)
        total = sum(where(counted, x, 0.0), axis=steps, keepdims=self.keepdims)
        return total / sum(astype(counted, x.dtype), axis=steps, keepdims=self.keepdims)


class GlobalAveragePooling2D(_GlobalPooling):
    """Take the mean over the height and width of images, (batch, height, width, channels).

    Args:
        data_format: "channels_last" (default) or "channels_first".
        keepdims: whether the axes of space are kept, with size 1.
        options: those of `Layer`.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.GlobalAveragePooling2D()(hg.ones((2, 8, 8, 3))).shape
    (2, 3)
    """

    rank = 2
    reduce = staticmethod(mean)


class GlobalMaxPooling1D(_GlobalPooling):
    """Take the largest over all steps of sequences; arguments are those of the average.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.GlobalMaxPooling1D(keepdims=True)(hg.ones((2, 8, 3))).shape
    (2, 1, 3)
    """

    rank = 1
    reduce = staticmethod(max)


class GlobalMaxPooling2D(_GlobalPooling):
    """Take the largest over the height and width of images; arguments are those of the average.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.GlobalMaxPooling2D()(hg.ones((2, 8, 8, 3))).shape
    (2, 3)
    """

    rank = 2
    reduce = staticmethod(max)
