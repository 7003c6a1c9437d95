"""Calls that are wrong: pyright must find each line that ends in `# wrong`, and no other."""

import numpy as np

import headgate as hg
import headgate.tf as tf
from headgate import optim

w = hg.Variable([1.0, 2.0], name="w")
v = hg.Variable(1.0, trainable="yes")  # wrong
with hg.GradientTape(persistant=True) as tape:  # wrong
    y = w * 2.0
tape.gradient(y, w, grads=1.0)  # wrong
tape.gradient(y)  # wrong
w.assing(1.0)  # wrong
y.numpi()  # wrong
size: str = y.ndim  # wrong
y.T.shape = (2,)  # wrong
optim.Adam(1e-3).apply_gradients(zip([y], [np.ones(2)]))  # wrong
hg.function(lambda x: x, donat=False)  # wrong
tf.GradientTape().wach(w)  # wrong
hg.no_such_op(w)  # wrong
tape.gradient(y, w)
