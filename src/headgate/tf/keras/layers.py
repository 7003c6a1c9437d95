"""`tf.keras.layers`."""

from headgate import nn as _nn

Activation = _nn.Activation
AveragePooling2D = AvgPool2D = _nn.AveragePooling2D
Concatenate = _nn.Concatenate
Conv2D = Convolution2D = _nn.Conv2D
Conv2DTranspose = Convolution2DTranspose = _nn.Conv2DTranspose
Dense = _nn.Dense
Dropout = _nn.Dropout
Flatten = _nn.Flatten
Input = _nn.Input
InputLayer = _nn.InputLayer
Lambda = _nn.Lambda
Layer = _nn.Layer
LeakyReLU = _nn.LeakyReLU
MaxPooling2D = MaxPool2D = _nn.MaxPooling2D
ReLU = _nn.ReLU
Reshape = _nn.Reshape
Softmax = _nn.Softmax
