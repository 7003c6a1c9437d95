"""`tf.keras.regularizers`: what weights add to the loss, and `get` for one by its name."""

from headgate.nn import regularizers as _regularizers

get = _regularizers.get_regularizer

L1 = l1 = _regularizers.L1
L1L2 = l1_l2 = _regularizers.L1L2
L2 = l2 = _regularizers.L2
OrthogonalRegularizer = orthogonal_regularizer = _regularizers.OrthogonalRegularizer
Regularizer = _regularizers.Regularizer
