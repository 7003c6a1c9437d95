"""`tf.keras.activations`: functions, and `get` for one by its name."""

from headgate.nn import activations as _activations
from headgate.ops import elementwise as _elementwise
from headgate.ops import functional as _functional

get = _activations.get_activation

elu = _elementwise.elu
exponential = _elementwise.exp
gelu = _elementwise.gelu
hard_sigmoid = _elementwise.hard_sigmoid
hard_tanh = _elementwise.hard_tanh
leaky_relu = _activations.leaky_relu
linear = _activations.linear
log_sigmoid = _elementwise.log_sigmoid
log_softmax = _functional.log_softmax
mish = _elementwise.mish
relu = _activations.relu
relu6 = _elementwise.relu6
selu = _elementwise.selu
sigmoid = _activations.sigmoid
silu = swish = _elementwise.silu
softmax = _activations.softmax
softplus = _elementwise.softplus
softsign = _elementwise.softsign
tanh = _elementwise.tanh
