"""Compare a layer with something else that computes the same: value and all first derivatives."""

import numpy as np

import headgate as hg


def numbers(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def fill(layer):
    """Give a built layer weights that are neither zero nor one, and not large."""
    random = np.random.default_rng(7)
    for variable in layer.variables:
        if variable.dtype.kind == "f":
            variable.assign(random.uniform(0.2, 0.8, variable.shape) - 0.1)


def parts(result):
    """Return the tensors of a result, whether one or several."""
    return list(result) if isinstance(result, list | tuple) else [result]


def weighting(shape):
    return np.cos(np.arange(np.prod(shape))).reshape(shape)


def derivatives(layer, inputs, **options):
    """Return the results of a layer and the gradients of their weighted sum.

    The gradients are those for the inputs and then those for the trainable variables.
    """
    tensors = [hg.asarray(x) for x in inputs]
    with hg.GradientTape() as tape:
        tape.watch(tensors)
        results = parts(layer(*tensors, **options))
        sums = [hg.sum(y * weighting(y.shape).astype(y.dtype)) for y in results]
        total = sum(sums[1:], sums[0])
    return (
        [y.numpy() for y in results],
        [g.numpy() for g in tape.gradient(total, tensors + layer.trainable_variables)],
    )


def jax_derivatives(reference, weights, inputs):
    """Return what `derivatives` does of a function of a list of weights and of inputs."""
    import jax
    import jax.numpy as jnp

    def total(inputs, weights):
        results = parts(reference(weights, *inputs))
        return sum(jnp.sum(y * weighting(y.shape)) for y in results)

    found = jax.jit(lambda i, w: (parts(reference(w, *i)), jax.grad(total, (0, 1))(i, w)))
    results, (of_inputs, of_weights) = found(list(map(jnp.asarray, inputs)), list(weights))
    return [np.asarray(y) for y in results], [np.asarray(g) for g in (*of_inputs, *of_weights)]


def keras_derivatives(layer, inputs, **options):
    """Return what `derivatives` does of a layer of Keras on TensorFlow."""
    import tensorflow as tf

    tensors = [tf.convert_to_tensor(x) for x in inputs]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        results = parts(layer(*tensors, **options))
        total = sum(tf.reduce_sum(y * weighting(y.shape).astype(y.dtype.name)) for y in results)
    variables = [variable.value for variable in layer.trainable_variables]
    gradients = tape.gradient(total, tensors + variables)
    return [y.numpy() for y in results], [tf.convert_to_tensor(g).numpy() for g in gradients]


def agree(found, expected, rtol):
    """Check results and gradients, relative to the largest number of their array.

    An array that is tiny beside the others, as the gradient of a key's bias is, which has no
    influence, is compared with what counts beside these.
    """
    for ours, theirs in zip(found, expected, strict=True):
        assert len(ours) == len(theirs)
        least = 0.1 * max(np.max(np.abs(other), initial=0) for other in theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert one.shape == other.shape
            scale = max(least, np.max(np.abs(other), initial=0))
            np.testing.assert_allclose(one / scale, other / scale, rtol=0, atol=rtol)
