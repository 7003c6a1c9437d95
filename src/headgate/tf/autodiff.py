"""`tf.autodiff`."""

from headgate.tape import GradientTape
from headgate.transforms import ForwardAccumulator

__all__ = ["ForwardAccumulator", "GradientTape"]
