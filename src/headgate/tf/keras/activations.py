"""`tf.keras.activations`: functions, and `get` for one by its name."""

from headgate.nn import activations as _activations
from headgate.ops import activations as _ops
from headgate.ops import elementwise as _elementwise
from headgate.ops import functional as _functional

get = _activations.get_activation

elu = _ops.elu
exponential = _elementwise.exp
gelu = _ops.gelu
hard_sigmoid = _ops.hard_sigmoid
hard_tanh = _ops.hard_tanh
leaky_relu = _activations.leaky_relu
linear = _activations.linear
log_sigmoid = _ops.log_sigmoid
log_softmax = _functional.log_softmax
mish = _ops.mish
relu = _activations.relu
relu6 = _ops.relu6
selu = _ops.selu
sigmoid = _activations.sigmoid
silu = swish = _ops.silu
softmax = _activations.softmax
softplus = _ops.softplus
softsign = _ops.softsign
tanh = _elementwise.tanh
