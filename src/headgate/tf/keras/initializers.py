"""`tf.keras.initializers`: how weights begin, and `get` for one by its name."""

from headgate.nn import initializers as _initializers

get = _initializers.get_initializer

Constant = constant = _initializers.Constant
GlorotNormal = glorot_normal = _initializers.GlorotNormal
GlorotUniform = glorot_uniform = _initializers.GlorotUniform
HeNormal = he_normal = _initializers.HeNormal
HeUniform = he_uniform = _initializers.HeUniform
Identity = identity = _initializers.Identity
LecunNormal = lecun_normal = _initializers.LecunNormal
LecunUniform = lecun_uniform = _initializers.LecunUniform
Ones = ones = _initializers.Ones
Orthogonal = orthogonal = _initializers.Orthogonal
RandomNormal = random_normal = _initializers.RandomNormal
RandomUniform = random_uniform = _initializers.RandomUniform
TruncatedNormal = truncated_normal = _initializers.TruncatedNormal
VarianceScaling = variance_scaling = _initializers.VarianceScaling
Zeros = zeros = _initializers.Zeros
