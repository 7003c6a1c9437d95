"""`tf.autodiff`."""

from headgate.core.tape import GradientTape
from headgate.core.transforms import ForwardAccumulator

__all__ = ["ForwardAccumulator", "GradientTape"]
