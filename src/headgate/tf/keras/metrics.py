"""`tf.keras.metrics`: classes, and the functions whose means they are."""

from headgate import losses as _losses
from headgate import metrics as _metrics
from headgate.fit import named as _named

get = _named.metric

AUC = _metrics.AUC
Accuracy = _metrics.Accuracy
BinaryAccuracy = _metrics.BinaryAccuracy
CategoricalAccuracy = _metrics.CategoricalAccuracy
CosineSimilarity = _metrics.CosineSimilarity
KLDivergence = _metrics.KLDivergence
Mean = _metrics.Mean
MeanAbsoluteError = _metrics.MeanAbsoluteError
MeanAbsolutePercentageError = _metrics.MeanAbsolutePercentageError
MeanIoU = _metrics.MeanIoU
MeanMetricWrapper = _metrics.MeanMetricWrapper
MeanSquaredError = _metrics.MeanSquaredError
Metric = _metrics.Metric
Precision = _metrics.Precision
Recall = _metrics.Recall
RootMeanSquaredError = _metrics.RootMeanSquaredError
SparseCategoricalAccuracy = _metrics.SparseCategoricalAccuracy
SparseTopKCategoricalAccuracy = _metrics.SparseTopKCategoricalAccuracy
Sum = _metrics.Sum
TopKCategoricalAccuracy = _metrics.TopKCategoricalAccuracy

binary_accuracy = _metrics.binary_accuracy
categorical_accuracy = _metrics.categorical_accuracy
kullback_leibler_divergence = kld = KLD = _losses.kl_divergence
mean_absolute_error = mae = MAE = _losses.mean_absolute_error
mape = MAPE = _losses.mean_absolute_percentage_error
mean_squared_error = mse = MSE = _losses.mean_squared_error
sparse_categorical_accuracy = _metrics.sparse_categorical_accuracy
sparse_top_k_categorical_accuracy = _metrics.sparse_top_k_categorical_accuracy
top_k_categorical_accuracy = _metrics.top_k_categorical_accuracy
