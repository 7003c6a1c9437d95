"""`tf.keras.backend`: the default dtype of layers, and a fresh count of their names."""

from headgate import nn as _nn

clear_session = _nn.reset_names
floatx = _nn.floatx
set_floatx = _nn.set_floatx
