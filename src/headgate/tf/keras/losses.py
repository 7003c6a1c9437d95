"""`tf.keras.losses`: classes, and the functions that they reduce."""

from headgate import losses as _losses
from headgate.fit import named as _named

get = _named.loss

BinaryCrossentropy = _losses.BinaryCrossentropy
BinaryFocalCrossentropy = _losses.BinaryFocalCrossentropy
CategoricalCrossentropy = _losses.CategoricalCrossentropy
CategoricalHinge = _losses.CategoricalHinge
CosineSimilarity = _losses.CosineSimilarity
Hinge = _losses.Hinge
Huber = _losses.Huber
KLDivergence = _losses.KLDivergence
LogCosh = _losses.LogCosh
Loss = _losses.Loss
MeanAbsoluteError = _losses.MeanAbsoluteError
MeanAbsolutePercentageError = _losses.MeanAbsolutePercentageError
MeanSquaredError = _losses.MeanSquaredError
MeanSquaredLogarithmicError = _losses.MeanSquaredLogarithmicError
Poisson = _losses.Poisson
SparseCategoricalCrossentropy = _losses.SparseCategoricalCrossentropy
SquaredHinge = _losses.SquaredHinge

binary_crossentropy = _losses.binary_crossentropy
binary_focal_crossentropy = _losses.binary_focal_crossentropy
categorical_crossentropy = _losses.categorical_crossentropy
categorical_hinge = _losses.categorical_hinge
cosine_similarity = _losses.cosine_similarity
hinge = _losses.hinge
huber = _losses.huber
kullback_leibler_divergence = kld = KLD = _losses.kl_divergence
logcosh = _losses.log_cosh
mean_absolute_error = mae = MAE = _losses.mean_absolute_error
mape = MAPE = _losses.mean_absolute_percentage_error
mean_squared_error = mse = MSE = _losses.mean_squared_error
msle = MSLE = _losses.mean_squared_logarithmic_error
poisson = _losses.poisson
sparse_categorical_crossentropy = _losses.sparse_categorical_crossentropy
squared_hinge = _losses.squared_hinge
