"""Senseless arguments of everything public are refused, by the name of the argument.

All public signatures are walked. What a parameter takes is told by its name (`KINDS`: a count, an
axis, a shape, a number in an interval, a name), so that a new function is tested once it has a call
here or in the table of op cases. What is let through on purpose is in `LET_THROUGH`, each with a
reason.
"""

import inspect
import math

import numpy as np
import pytest

import headgate as hg
from headgate import data, losses, metrics, nn, optim
from headgate.nn import initializers
from headgate.optim import schedules

X = np.ones((2, 3))
IMAGES = np.ones((1, 6, 6, 2))
ROWS = np.array([[0.0, 1.0], [1.0, 0.0]])

NO_NUMBERS = ["1", None, math.nan, 1j, [], "x"]
SENSELESS = {
    # What is no whole number, then what is out of every range.
    "count": [1.9, "1", math.nan, None, np.array([1.5]), True, -3],
    "count or none": [1.9, "1", math.nan, np.array([1.5]), True, -3],
    "whole": [1.9, "1", math.nan, np.array([1.5])],
    "whole or none": [1.9, "1", math.nan, np.array([1.5])],
    "axis": [1.9, "1", math.nan, 2**62, -99],
    "axes": [1.9, "1", math.nan, 2**62, -99, (0, 1.5)],
    "shape": [1.9, "1", math.nan, (2, -3), (2, 1.5), (2**40, 2**40)],
    "sizes": [1.9, "1", math.nan, (2, -3), (2, 1.5)],
    "share": [*NO_NUMBERS, -0.5, 1.5],
    "share or none": ["1", math.nan, 1j, -0.5, 1.5],
    "below one": [*NO_NUMBERS, -0.5, 1.0, 1.5],
    "positive": [*NO_NUMBERS, 0.0, -1.0],
    "positive or none": ["1", math.nan, 1j, 0.0, -1.0],
    "not negative": [*NO_NUMBERS, -1.0],
    "not negative or none": ["1", math.nan, 1j, -1.0],
    "number": NO_NUMBERS,
    "name": [1.5, "no such name", b"x", np.ones(2)],
    "flag": ["x", "False", math.nan, None, -1.5, 2, [1], [], np.ones(2)],
    "flag or none": ["x", "False", math.nan, -1.5, 2, [1], [], np.ones(2)],
    "flag of NumPy": ["x", "False", math.nan, -1.5, [1], []],  # any integer counts
    "finite": ["1", None, math.nan, 1j, [], "x", math.inf, True],
    "not none": [None],
}

KINDS = {
    # counts
    **dict.fromkeys(
        ("units", "filters", "num_heads", "key_dim", "input_dim", "output_dim"), "count"
    ),
    **dict.fromkeys(
        ("groups", "num_classes", "num_thresholds", "batch_size", "depth", "k"), "count"
    ),
    **dict.fromkeys(("num", "n_rows", "num_samples", "count"), "count"),
    **dict.fromkeys(("value_dim", "top_k", "class_id", "epochs", "n_cols"), "count or none"),
    **dict.fromkeys(("ignore_class", "seed"), "whole or none"),
    **dict.fromkeys(("shift", "offset", "n"), "whole"),
    # shapes
    **dict.fromkeys(("kernel_size", "strides", "pool_size", "dilation_rate", "widths"), "sizes"),
    **dict.fromkeys(("stride", "dilation", "repeats", "repetitions", "size"), "sizes"),
    **dict.fromkeys(("output_padding",), "sizes"),
    **dict.fromkeys(("shape",), "shape"),
    **dict.fromkeys(("axis", "axes", "source", "destination"), "axis"),
    # numbers
    **dict.fromkeys(("rate", "dropout", "label_smoothing", "momentum", "tau", "decay"), "share"),
    **dict.fromkeys(("rho", "beta_1", "beta_2"), "below one"),
    **dict.fromkeys(
        ("delta", "norm", "decay_steps", "first_decay_steps", "decay_rate"), "positive"
    ),
    **dict.fromkeys(("power", "scale"), "positive"),
    **dict.fromkeys(("clipnorm", "clipvalue", "global_clipnorm"), "positive or none"),
    **dict.fromkeys(
        ("epsilon", "stddev", "gamma", "learning_rate", "weight_decay"), "not negative"
    ),
    **dict.fromkeys(("initial_learning_rate", "end_learning_rate", "m_mul"), "not negative"),
    **dict.fromkeys(("initial_accumulator_value", "negative_slope", "t_mul"), "not negative"),
    **dict.fromkeys(("warmup_steps",), "not negative"),
    **dict.fromkeys(("warmup_target", "max_value"), "not negative or none"),
    **dict.fromkeys(("threshold", "gain", "mean", "minval", "maxval"), "number"),
    # names
    **dict.fromkeys(("padding", "mode", "reduction", "curve", "summation_method"), "name"),
    **dict.fromkeys(("distribution", "data_format", "layout", "interpolation"), "name"),
    **dict.fromkeys(("indexing", "side"), "name"),
    # True or False
    **dict.fromkeys(("keepdims",), "flag of NumPy"),
    **dict.fromkeys(("from_logits", "apply_class_balancing", "sparse_y_true"), "flag"),
    **dict.fromkeys(("sparse_y_pred", "use_bias", "center", "return_sequences"), "flag"),
    **dict.fromkeys(("return_state", "go_backwards", "unit_forget_bias", "reset_after"), "flag"),
    **dict.fromkeys(("nesterov", "centered", "amsgrad", "staircase", "cycle", "shuffle"), "flag"),
    **dict.fromkeys(("drop_last", "persistent", "watch_accessed_variables", "has_aux"), "flag"),
    **dict.fromkeys(("descending", "stable", "include_initial", "approximate"), "flag"),
    **dict.fromkeys(("endpoint", "reverse", "jit", "check", "trainable"), "flag"),
    **dict.fromkeys(("copy",), "flag or none"),
    **dict.fromkeys(("alpha", "correction"), "finite"),
    **dict.fromkeys(("length", "maximum_iterations"), "count or none"),
    **dict.fromkeys(("fill_value", "value"), "not none"),
    **dict.fromkeys(("batch_dims",), "count"),
}

OVERRIDES = {
    # (function, argument): kind where the name alone would mislead
    ("nn.Layer", "input_dim"): "count or none",
    ("optim.hard_update", "source"): None,  # variables
    ("optim.soft_update", "source"): None,
    ("hg.top_k", "k"): "whole",
    ("random.standard_truncated_normal", "source"): None,  # what initializers draw with
    ("random.standard_truncated_normal", "shape"): None,
    **{("random.normal", name): None for name in ("mean", "stddev")},  # arrays and tensors as well
    **{("random.truncated_normal", name): None for name in ("mean", "stddev")},
    **{("random.poisson", name): None for name in ("rate",)},
    ("nn.Input", "batch_size"): None,  # accepted for Keras' sake, and not used
    ("nn.InputLayer", "batch_size"): None,
    ("nn.BatchNormalization", "axis"): "whole",  # the rank of the input is not known yet
    ("nn.LayerNormalization", "axis"): "whole",
    ("nn.Softmax", "axis"): "whole",
    ("nn.Concatenate", "axis"): "whole",
    **{
        (f"losses.{name}", "axis"): "whole"
        for name in ("CosineSimilarity", "BinaryCrossentropy", "BinaryFocalCrossentropy")
    },
    ("losses.CategoricalCrossentropy", "axis"): "whole",
    ("losses.SparseCategoricalCrossentropy", "axis"): "whole",
    ("metrics.CosineSimilarity", "axis"): "whole",
    ("losses.BinaryFocalCrossentropy", "alpha"): "share",
    ("losses.binary_focal_crossentropy", "alpha"): "share",
    ("schedules.CosineDecay", "alpha"): "not negative",
    ("schedules.CosineDecayRestarts", "alpha"): "not negative",
    ("schedules.InverseTimeDecay", "decay_rate"): "not negative",
    ("nn.ReLU", "threshold"): "not negative",
    ("nn.LeakyReLU", "alpha"): "not negative or none",
    ("hg.eye", "k"): "whole",
    ("hg.tril", "k"): "whole",
    ("hg.triu", "k"): "whole",
    ("hg.max_pool", "stride"): "sizes",
    ("hg.scale_gradient", "scale"): None,
    ("hg.reverse_gradient", "scale"): None,
    ("nn.BatchNormalization", "scale"): "flag",
    ("nn.LayerNormalization", "scale"): "flag",
    **{
        (f"{where}", "keepdims"): "flag" for where in ("hg.argmax", "hg.argmin", "hg.count_nonzero")
    },
    **{
        (f"nn.Global{kind}Pooling{rank}D", "keepdims"): "flag"
        for kind in ("Max", "Average")
        for rank in (1, 2)
    },
    ("random.gamma", "alpha"): None,  # an array
    ("nn.set_floatx", "value"): None,
    ("hg.Variable", "shape"): None,
    ("hg.norm", "mode"): None,
}

LET_THROUGH = {
    ("optim.Optimizer", "weight_decay"): {None: "no decay"},
    **{
        (f"optim.{rule}", "weight_decay"): {None: "no decay"}
        for rule in ("SGD", "RMSprop", "Adagrad", "Adam", "Lion")
    },
    ("nn.Reshape", "target_shape"): {-1: "what is left"},
    "reduction": {None: "as 'none'"},
    "data_format": {None: "the default"},
    "layout": {None: "the default"},
    "axes of a shape that may be left out": {},
}

CALLS = {
    # the least that a call needs
    **{
        f"nn.{name}": {"filters": 2, "kernel_size": 2}
        for name in (
            "Conv1D",
            "Conv2D",
            "Conv1DTranspose",
            "Conv2DTranspose",
        )
    },
    **{f"nn.{name}": {"units": 2} for name in ("Dense", "SimpleRNN", "LSTM", "GRU")},
    "nn.Embedding": {"input_dim": 3, "output_dim": 2},
    "nn.MultiHeadAttention": {"num_heads": 1, "key_dim": 2},
    "nn.Dropout": {"rate": 0.5},
    "nn.GaussianNoise": {"stddev": 0.1},
    "nn.Reshape": {"target_shape": (2,)},
    "metrics.MeanIoU": {"num_classes": 2},
    "schedules.Constant": {"learning_rate": 0.1},
    "schedules.ExponentialDecay": {
        "initial_learning_rate": 0.1,
        "decay_steps": 5,
        "decay_rate": 0.5,
    },
    "schedules.InverseTimeDecay": {
        "initial_learning_rate": 0.1,
        "decay_steps": 5,
        "decay_rate": 0.5,
    },
    "schedules.PolynomialDecay": {"initial_learning_rate": 0.1, "decay_steps": 5},
    "schedules.CosineDecay": {"initial_learning_rate": 0.1, "decay_steps": 5, "warmup_target": 0.2},
    "schedules.CosineDecayRestarts": {"initial_learning_rate": 0.1, "first_decay_steps": 5},
    "schedules.LinearWarmup": {"schedule": 0.1, "warmup_steps": 5},
    "data.Batches": {"batch_size": 1},
    "optim.ExponentialMovingAverage": {"variables": [hg.Variable(1.0)]},
    "optim.soft_update": {"target": hg.Variable(1.0), "source": hg.Variable(1.0), "tau": 0.5},
    "optim.clip_by_norm": {"gradient": X, "norm": 1.0},
    "optim.clip_by_global_norm": {"gradients": [X], "norm": 1.0},
    **{
        f"losses.{name}": {"y_true": ROWS, "y_pred": ROWS}
        for name in ("huber", "cosine_similarity", "binary_crossentropy")
    },
    "losses.binary_focal_crossentropy": {"y_true": ROWS, "y_pred": ROWS},
    "losses.categorical_crossentropy": {"y_true": ROWS, "y_pred": ROWS},
    "losses.sparse_categorical_crossentropy": {"y_true": [0, 1], "y_pred": ROWS},
    "metrics.binary_accuracy": {"y_true": [0, 1], "y_pred": [0.2, 0.3]},
    "metrics.top_k_categorical_accuracy": {"y_true": ROWS, "y_pred": ROWS},
    "metrics.sparse_top_k_categorical_accuracy": {"y_true": [0, 1], "y_pred": ROWS},
    **{f"hg.{name}": {"shape": (2,)} for name in ("zeros", "ones", "empty")},
    "hg.full": {"shape": (2,), "fill_value": 1.0},
    "hg.eye": {"n_rows": 2},
    "hg.linspace": {"start": 0.0, "stop": 1.0, "num": 3},
    "hg.meshgrid": {},
    "hg.one_hot": {"indices": [0, 1], "depth": 3},
    "hg.tril": {"x": X},
    "hg.triu": {"x": X},
    "hg.roll": {"x": X, "shift": 1, "axis": 0},
    "hg.tile": {"x": X, "repetitions": 2},
    "hg.repeat": {"x": X, "repeats": 2, "axis": 0},
    "hg.pad": {"x": X, "widths": 1},
    "hg.top_k": {"x": X, "k": 1},
    "hg.max_pool": {"x": IMAGES, "size": 2},
    "hg.avg_pool": {"x": IMAGES, "size": 2},
    "hg.conv": {"x": IMAGES, "w": np.ones((2, 2, 2, 2))},
    "hg.conv_transpose": {"x": IMAGES, "w": np.ones((2, 2, 2, 2))},
    "hg.moveaxis": {"x": X, "source": 0, "destination": 1},
    "hg.concat": {"arrays": [X, X]},
    "hg.stack": {"arrays": [X, X]},
    "hg.searchsorted": {"x1": [0.0, 1.0], "x2": [0.5]},
    "hg.diagonal": {"x": X},
    **{
        f"hg.{name}": {"x": X}
        for name in (
            *("sum", "mean", "prod", "var", "std", "max", "min", "any", "all", "argmax", "argmin"),
            *("sort", "argsort", "cumulative_sum", "cumulative_prod", "flip", "unstack"),
            *(
                "logsumexp",
                "softmax",
                "log_softmax",
                "expand_dims",
                "count_nonzero",
                "l2_normalize",
            ),
        )
    },
    "random.categorical": {"logits": X},
    "random.bernoulli": {"p": 0.5},
    "random.gamma": {"alpha": 1.0},
    "random.poisson": {"rate": 1.0},
    "hg.squeeze": {"x": np.ones((1, 2))},
    **{f"hg.{name}": {"x": X} for name in ("elu", "leaky_relu", "gelu", "full_like")},
    "hg.full_like": {"x": X, "fill_value": 1.0},
    **{f"hg.{name}": {"x": X, "axis": 0} for name in ("cumulative_sum", "cumulative_prod")},
    "hg.asarray": {"obj": X},
    "hg.gather": {"x": X, "indices": [0]},
    "hg.gather_nd": {"x": X, "indices": [[0]]},
    "hg.GradientTape": {},
    "hg.Variable": {"initial_value": X},
    "hg.function": {"f": abs},
    "hg.grad": {"f": abs},
    "hg.value_and_grad": {"f": abs},
    "hg.scan": {"f": lambda carry, x: (carry, carry), "init": 0.0},
    "hg.while_loop": {"cond_fn": lambda x: x < 3, "body_fn": lambda x: x + 1, "init": 0},
}

MODULES = {
    "hg": hg,
    "nn": nn,
    "optim": optim,
    "schedules": schedules,
    "losses": losses,
    "metrics": metrics,
    "data": data,
    "random": hg.random,
    "initializers": initializers,
}


def public():
    """Yield the name and the function of everything public that is called."""
    for module_name, module in MODULES.items():
        for name in getattr(module, "__all__", None) or vars(module):
            function = getattr(module, name)
            where = getattr(function, "__module__", "")
            if callable(function) and where.startswith("headgate") and not name.startswith("_"):
                if not hasattr(module, "__all__") and where != module.__name__:
                    continue  # what it imports
                if getattr(function, "__init__", None) is nn.Layer.__init__ and name != "Layer":
                    continue
                yield f"{module_name}.{name}", function


def parameters(function):
    """Return the parameters of a function; for an optimizer also those that all have."""
    try:
        found = dict(inspect.signature(function).parameters)
    except ValueError:  # an exception's, say
        return {}
    if inspect.isclass(function) and issubclass(function, optim.Optimizer):
        found = {**inspect.signature(optim.Optimizer).parameters, **found}
    return found


def cases():
    for name, function in public():
        if name.startswith("hg.") and name not in CALLS:
            continue
        for argument in parameters(function):
            kind = OVERRIDES.get((name, argument), KINDS.get(argument))
            if kind is not None:
                yield pytest.param(name, function, argument, kind, id=f"{name}({argument})")


@pytest.mark.parametrize("yes", [1, np.True_, np.int32(1), np.asarray(True), hg.asarray(True)])
def test_what_is_true_may_be_said_in_several_ways(yes):
    assert hg.argmax(X, axis=0, keepdims=yes).shape == (1, 3)
    assert nn.Dense(2, use_bias=yes).use_bias is True
    assert losses.BinaryCrossentropy(from_logits=yes).from_logits is True
    assert optim.SGD(0.1, momentum=0.5, nesterov=yes).nesterov is True


def refuses(name, function, argument, value):
    """Tell how a call with a senseless argument ends: None if it is refused by name."""
    arguments = {**CALLS.get(name, {}), argument: value}
    positional = [X] if name == "data.Batches" else []
    try:
        found = function(*positional, **arguments)
        if isinstance(found, type(initializers.Zeros())) or name.startswith("initializers."):
            return f"made {found!r}"
    except (TypeError, ValueError, IndexError, MemoryError, OverflowError) as error:
        said = str(error)
        if argument not in said:
            return f"{type(error).__name__} without its name: {said.splitlines()[0]}"
        if "unexpected keyword" in said:
            return f"no such argument: {said}"
        return None
    return f"taken: {found!r}"[:120]


@pytest.mark.parametrize(("name", "function", "argument", "kind"), [*cases()])
def test_senseless_arguments_are_refused_by_name(name, function, argument, kind):
    allowed = {**LET_THROUGH.get(argument, {}), **LET_THROUGH.get((name, argument), {})}
    faults = []
    for value in SENSELESS[kind]:
        if isinstance(value, int | str | None) and value in allowed:
            continue
        fault = refuses(name, function, argument, value)
        if fault is not None:
            faults.append(f"{argument}={value!r} is {fault}")
    assert not faults, f"{name}: " + "; ".join(faults)
