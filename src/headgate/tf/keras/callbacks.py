"""`tf.keras.callbacks`."""

from headgate import fit as _fit

Callback = _fit.Callback
CSVLogger = _fit.CSVLogger
EarlyStopping = _fit.EarlyStopping
History = _fit.History
LambdaCallback = _fit.LambdaCallback
LearningRateScheduler = _fit.LearningRateScheduler
ModelCheckpoint = _fit.ModelCheckpoint
ReduceLROnPlateau = _fit.ReduceLROnPlateau
TensorBoard = _fit.TensorBoard
TerminateOnNaN = _fit.TerminateOnNaN
