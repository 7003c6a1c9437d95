"""Fit: the training loop of Keras, for programs that leave the loop to the model."""

from headgate.fit.callback import Callback, History
from headgate.fit.callbacks import (
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TensorBoard,
    TerminateOnNaN,
)
from headgate.fit.models import Model, Sequential
from headgate.fit.trainer import Trainer

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "Model",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "Sequential",
    "TensorBoard",
    "TerminateOnNaN",
    "Trainer",
]
