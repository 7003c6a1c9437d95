"""`tf.keras.optimizers`."""

from headgate import optim as _optim

Adam = _optim.Adam
Optimizer = _optim.Optimizer
RMSprop = _optim.RMSprop
SGD = _optim.SGD
