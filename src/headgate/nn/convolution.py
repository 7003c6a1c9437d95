"""Convolutions and transposed ones over one or two axes of space; margins and larger images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headgate.core.checks import per_axis
from headgate.core.variable import Variable
from headgate.nn.activations import get_activation
from headgate.nn.initializers import get_initializer
from headgate.nn.layer import Layer, Shape
from headgate.nn.options import check_axes, each, layout_of, one_of, positive, switch
from headgate.ops.conv import conv, conv_transpose
from headgate.ops.shape import pad, repeat, reshape


class _Convolution(Layer):
    """What convolutions and transposed ones of one to three axes of space share."""

    rank: int
    paddings: tuple[str, ...] = ("valid", "same")
    transposed = False

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.filters = positive(self, "filters", filters)
        self.kernel_size = each(self, "kernel_size", kernel_size, self.rank)
        self.strides = each(self, "strides", strides, self.rank)
        self.padding = one_of(self, "padding", padding, self.paddings)
        self.layout = layout_of(self, data_format, self.rank)
        self.dilation_rate = each(self, "dilation_rate", dilation_rate, self.rank)
        self.groups = positive(self, "groups", groups)
        self.activation = get_activation(activation)
        self.use_bias = switch(self, "use_bias", use_bias)
        self.kernel_initializer = get_initializer(kernel_initializer)
        self.bias_initializer = get_initializer(bias_initializer)
        self.bias: Variable | None = None

    def build(self, input_shape: Shape) -> None:
        """Make kernel and bias."""
        check_axes(self, input_shape, self.layout)
        channels = input_shape[self.layout.index("C")]
        if channels is None:
            raise ValueError(
                f"layer {self.name!r} needs to know the number of channels, C in "
                f"({', '.join(self.layout)}), and was built for {input_shape}"
            )
        if channels % self.groups or self.filters % self.groups:
            raise ValueError(
                f"layer {self.name!r}: groups={self.groups} must divide the {channels} channels of "
                f"the input and filters={self.filters}"
            )
        ends = channels // self.groups, self.filters
        shape = (*self.kernel_size, *(reversed(ends) if self.transposed else ends))
        self.kernel = self.add_weight(shape, self.kernel_initializer, name="kernel")
        if self.use_bias:
            self.bias = self.add_weight((self.filters,), self.bias_initializer, name="bias")

    def _convolve(self, x: Any) -> Any:
        return conv(
            x,
            self.kernel,
            stride=self.strides,
            padding=self._padding(),
            dilation=self.dilation_rate,
            groups=self.groups,
            layout=self.layout,
        )

    def _padding(self) -> Any:
        """Return the padding as `conv` wants it."""
        return self.padding

    def call(self, x: Any) -> Any:
        """Convolve, add, activate."""
        check_axes(self, x.shape, self.layout)
        y = self._convolve(self._floats(x))
        if self.bias is not None:
            bias: Any = self.bias
            if self.layout[1] == "C":
                bias = reshape(bias, (self.filters,) + (1,) * self.rank)
            y = y + bias
        return self.activation(y)


class Conv1D(_Convolution):
    """Convolve sequences, (batch, steps, channels), with a kernel.

    Its arguments are those of `Conv2D`, with one size, step and dilation. `padding` may also be
    "causal": so many zeros before the first step that no result depends on later steps.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.Conv1D(16, 3, padding="causal")(hg.ones((2, 8, 1))).shape
    (2, 8, 16)
    """

    rank = 1
    paddings = ("valid", "same", "causal")

    def _padding(self) -> Any:
        if self.padding != "causal":
            return self.padding
        (size,), (dilation,) = self.kernel_size, self.dilation_rate
        return [((size - 1) * dilation, 0)]


class Conv2D(_Convolution):
    """Convolve images, (batch, height, width, channels), with a kernel.

    Args:
        filters: number of channels of the result.
        kernel_size: one size for both axes, or one for each.
        strides: steps between windows, one or two.
        padding: "valid" or "same".
        data_format: "channels_last" (default) or "channels_first".
        dilation_rate: steps between the elements of a window, one or two.
        groups: in how many parts channels and filters are split.
        activation: a function or its name.
        use_bias: whether there is a bias.
        kernel_initializer: for the kernel, of shape (*kernel_size, channels / groups, filters).
        bias_initializer: for the bias, of shape (filters,).
        options: those of `Layer`.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.Conv2D(16, 3, padding="same")(hg.ones((2, 8, 8, 1))).shape
    (2, 8, 8, 16)
    """

    rank = 2


class _TransposedConvolution(_Convolution):
    """What transposed convolutions share; their kernel is (*kernel_size, filters, channels)."""

    transposed = True

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        output_padding: int | Sequence[int] | None = None,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation=activation,
            **options,
        )
        if output_padding is not None:
            output_padding = each(self, "output_padding", output_padding, self.rank, 0)
        self.output_padding = output_padding

    def _convolve(self, x: Any) -> Any:
        return conv_transpose(
            x,
            self.kernel,
            stride=self.strides,
            padding=self.padding,
            dilation=self.dilation_rate,
            layout=self.layout,
            output_padding=self.output_padding,
        )


class Conv1DTranspose(_TransposedConvolution):
    """Apply a transposed convolution: with strides, it makes sequences longer.

    Its arguments are those of `Conv2DTranspose`, with one size, step and dilation.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.Conv1DTranspose(4, 3, strides=2, padding="same")(hg.ones((2, 7, 1))).shape
    (2, 14, 4)
    """

    rank = 1


class Conv2DTranspose(_TransposedConvolution):
    """Apply a transposed convolution: with strides, it makes images larger.

    Its arguments are those of `Conv2D` without `groups`, with `output_padding` after `padding`:
    what is added to the least size of the result.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.Conv2DTranspose(4, 3, strides=2, padding="same")(hg.ones((2, 7, 7, 1))).shape
    (2, 14, 14, 4)
    """

    rank = 2


class ZeroPadding2D(Layer):
    """Add rows and columns of zeros around images.

    Args:
        padding: one width for all sides; or one for the height and one for the width; or a pair of
            (before, after) for each of these.
        data_format: "channels_last" (default) or "channels_first".
        options: those of `Layer`.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.ZeroPadding2D(((1, 0), (2, 2)))(hg.ones((1, 4, 4, 3))).shape
    (1, 5, 8, 3)
    """

    def __init__(
        self, padding: Any = (1, 1), data_format: str | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.layout = layout_of(self, data_format, 2)
        try:
            self.padding = tuple(map(_pair, padding if _many(padding) else (padding, padding)))
        except (TypeError, ValueError):
            self.padding = ()
        if len(self.padding) != 2:
            raise ValueError(
                "ZeroPadding2D: padding must be a width, two widths or two pairs of widths, none "
                f"of them negative, got {padding!r}"
            )

    def call(self, x: Any) -> Any:
        """Pad."""
        check_axes(self, x.shape, self.layout)
        height, width = self.padding
        whole = {"H": height, "W": width}
        return pad(x, [whole.get(axis, (0, 0)) for axis in self.layout])


def _pair(width: Any) -> tuple[int, int]:
    before, after = per_axis("ZeroPadding2D", "padding", width, 2, 0)
    return before, after


def _many(padding: Any) -> bool:
    return isinstance(padding, list | tuple)


class UpSampling2D(Layer):
    """Repeat the rows and columns of images.

    Args:
        size: how often: one number for both, or one for each.
        data_format: "channels_last" (default) or "channels_first".
        interpolation: "nearest", which is repetition.
        options: those of `Layer`.

    >>> import headgate as hg
    >>> from headgate import nn
    >>> nn.UpSampling2D()(hg.ones((1, 4, 4, 3))).shape
    (1, 8, 8, 3)
    """

    def __init__(
        self,
        size: int | Sequence[int] = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.layout = layout_of(self, data_format, 2)
        self.size = each(self, "size", size, 2)
        self.interpolation = one_of(self, "interpolation", interpolation, ("nearest",))

    def call(self, x: Any) -> Any:
        """Repeat."""
        check_axes(self, x.shape, self.layout)
        height, width = self.size
        x = repeat(x, height, axis=self.layout.index("H"))
        return repeat(x, width, axis=self.layout.index("W"))
