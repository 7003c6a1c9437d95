"""`tf.keras.models`."""

from headgate import fit as _fit

Model = _fit.Model
Sequential = _fit.Sequential
