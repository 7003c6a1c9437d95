"""`tf.keras.layers`."""

from headgate import nn as _nn
from headgate.tf import _merges

add = _merges.add
average = _merges.average
concatenate = _merges.concatenate
multiply = _merges.multiply
subtract = _merges.subtract

Activation = _nn.Activation
Add = _nn.Add
Average = _nn.Average
AveragePooling1D = AvgPool1D = _nn.AveragePooling1D
AveragePooling2D = AvgPool2D = _nn.AveragePooling2D
BatchNormalization = _nn.BatchNormalization
Concatenate = _nn.Concatenate
Conv1D = Convolution1D = _nn.Conv1D
Conv1DTranspose = Convolution1DTranspose = _nn.Conv1DTranspose
Conv2D = Convolution2D = _nn.Conv2D
Conv2DTranspose = Convolution2DTranspose = _nn.Conv2DTranspose
Dense = _nn.Dense
Dropout = _nn.Dropout
Embedding = _nn.Embedding
Flatten = _nn.Flatten
GRU = _nn.GRU
GaussianNoise = _nn.GaussianNoise
GlobalAveragePooling1D = GlobalAvgPool1D = _nn.GlobalAveragePooling1D
GlobalAveragePooling2D = GlobalAvgPool2D = _nn.GlobalAveragePooling2D
GlobalMaxPooling1D = GlobalMaxPool1D = _nn.GlobalMaxPooling1D
GlobalMaxPooling2D = GlobalMaxPool2D = _nn.GlobalMaxPooling2D
Input = _nn.Input
InputLayer = _nn.InputLayer
LSTM = _nn.LSTM
Lambda = _nn.Lambda
Layer = _nn.Layer
LayerNormalization = _nn.LayerNormalization
LeakyReLU = _nn.LeakyReLU
MaxPooling1D = MaxPool1D = _nn.MaxPooling1D
MaxPooling2D = MaxPool2D = _nn.MaxPooling2D
MultiHeadAttention = _nn.MultiHeadAttention
Multiply = _nn.Multiply
ReLU = _nn.ReLU
Reshape = _nn.Reshape
SimpleRNN = _nn.SimpleRNN
Softmax = _nn.Softmax
Subtract = _nn.Subtract
UpSampling2D = _nn.UpSampling2D
ZeroPadding2D = _nn.ZeroPadding2D
