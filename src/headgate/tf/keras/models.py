"""`tf.keras.models`."""

from headgate import nn as _nn

Model = _nn.Model
Sequential = _nn.Sequential
