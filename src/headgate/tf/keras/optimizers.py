"""`tf.keras.optimizers`."""

from headgate import optim as _optim
from headgate.fit import named as _named

get = _named.optimizer

SGD = _optim.SGD
RMSprop = _optim.RMSprop
Adagrad = _optim.Adagrad
Adam = _optim.Adam
AdamW = _optim.AdamW
Lion = _optim.Lion
Optimizer = _optim.Optimizer
schedules = _optim.schedules
