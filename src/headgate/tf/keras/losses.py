"""`tf.keras.losses`: classes, and the functions that they reduce."""

from headgate import losses as _losses

BinaryCrossentropy = _losses.BinaryCrossentropy
CategoricalCrossentropy = _losses.CategoricalCrossentropy
Huber = _losses.Huber
Loss = _losses.Loss
MeanAbsoluteError = _losses.MeanAbsoluteError
MeanSquaredError = _losses.MeanSquaredError
SparseCategoricalCrossentropy = _losses.SparseCategoricalCrossentropy

binary_crossentropy = _losses.binary_crossentropy
categorical_crossentropy = _losses.categorical_crossentropy
huber = _losses.huber
mean_absolute_error = mae = MAE = _losses.mean_absolute_error
mean_squared_error = mse = MSE = _losses.mean_squared_error
sparse_categorical_crossentropy = _losses.sparse_categorical_crossentropy
