"""Record the signatures of TensorFlow's functions that `headgate.tf` has too, and compare.

Run it where TensorFlow is installed; it writes `signatures.json` beside itself:

    python tests/tf_semantics/record_signatures.py

`test_signatures.py` compares ours with that file. Every difference has a reason in the table
below, and stands in docs/tf_deviations.md, in the part that is written from this table, wherever
Headgate is installed:

    python tests/tf_semantics/record_signatures.py --page
"""

import collections
import enum
import inspect
import json
import os
import sys
from pathlib import Path

import numpy as np

import headgate.tf

FILE = Path(__file__).with_name("signatures.json")
PAGE = Path(__file__).parents[2] / "docs" / "tf_deviations.md"
BEGIN, END = "<!-- signatures: from here", "<!-- signatures: to here -->"

MODULES = (
    *("", "autodiff", "data", "linalg", "math", "nn", "random"),
    "keras",
    *(
        f"keras.{name}"
        for name in (
            *(
                "activations",
                "backend",
                "callbacks",
                "regularizers",
                "initializers",
                "layers",
                "losses",
                "metrics",
                "models",
            ),
            *("optimizers", "optimizers.schedules"),
        )
    ),
)


def public(module):
    """Return the names that a module offers."""
    names = getattr(module, "__all__", None) or [
        name for name in vars(module) if not name.startswith("_")
    ]
    return sorted(name for name in names if not inspect.ismodule(getattr(module, name)))


def at(root, path):
    """Return what stands at a path of names."""
    for name in filter(None, path.split(".")):
        root = getattr(root, name, None)
    return root


def shared(ours, theirs):
    """Yield the path, ours and theirs of each function, class and public method of both.

    What several classes inherit alike comes once.
    """
    seen = set()
    for module in MODULES:
        here, there = at(ours, module), at(theirs, module)
        for name in public(here):
            path = f"{module}.{name}" if module else name
            one, other = getattr(here, name), getattr(there, name, None)
            if not callable(one) or not callable(other):
                continue
            if isinstance(one, enum.EnumMeta):  # Python's signature, which its versions change
                continue
            yield path, one, other
            if not inspect.isclass(one) or not inspect.isclass(other):
                continue
            kind = headgate.Variable if one is headgate.tf.Variable else one
            for method in sorted(methods(kind) & methods(other)):
                pair = getattr(kind, method), getattr(other, method)
                if pair not in seen:
                    seen.add(pair)
                    yield f"{path}.{method}", *pair


def methods(kind):
    """Return the names of a class's public methods."""
    return {
        name
        for name in dir(kind)
        if (not name.startswith("_") or name == "__call__")
        and inspect.isroutine(getattr(kind, name))
    }


def parameters(function):
    """Return name, kind and default of each parameter as JSON has them; None if nobody knows."""
    try:
        found = signature(function)
    except (TypeError, ValueError):
        return None
    return [
        [each.name, each.kind.name.lower(), default(each.default)]
        for each in found
        if each.name != "self"
    ]


def signature(function):
    """Return the parameters of a function, or of a class's constructor and its bases'.

    What a constructor passes on as `**options` is taken apart: a base takes it by name.
    """
    found = [*inspect.signature(function).parameters.values()]
    if not inspect.isclass(function):
        return found
    if [each.name for each in found] == ["args", "kwargs"]:  # a metaclass, or `__new__`
        found = [*inspect.signature(function.__init__).parameters.values()]
    known = {each.name for each in found}
    for base in function.__mro__[1:]:
        if all(each.kind is not each.VAR_KEYWORD for each in found):
            break
        if base is object or "__init__" not in vars(base):
            continue
        found = [each for each in found if each.kind is not each.VAR_KEYWORD]
        for each in [*inspect.signature(base.__init__).parameters.values()][1:]:
            if each.kind is each.VAR_KEYWORD:
                found.append(each)
            elif each.name not in known and each.kind is not each.VAR_POSITIONAL:
                known.add(each.name)
                found.append(each.replace(kind=each.KEYWORD_ONLY))
    return sorted(found, key=lambda each: each.kind)


def default(value):
    """Return a default as a text, so that both libraries' can be compared."""
    if value is inspect.Parameter.empty:
        return ""
    if isinstance(value, enum.Enum):
        return f"{value.value!r}" if isinstance(value.value, str) else value.name
    if isinstance(value, type) and issubclass(value, np.generic):
        value = np.dtype(value)
    name = getattr(value, "name", None)  # of a dtype
    return name if isinstance(name, str) else repr(value)


def deviations(path, ours, theirs):
    """Yield how our parameters differ from TensorFlow's: a kind, an argument, and what there is."""
    mine, other = ({each[0]: each for each in given} for given in (ours, theirs))
    any_name = any(each[1] == "var_keyword" for each in theirs)
    places, wanted = (
        [name for name, kind, _ in given if kind.startswith("positional")]
        for given in (ours, theirs)
    )
    renamed = {
        theirs: ours
        for ours, theirs in zip(places, wanted, strict=False)
        if ours not in other and theirs not in mine
    }
    for theirs, ours in renamed.items():
        yield "named", theirs, ours
    for name, (_, kind, value) in other.items():
        if name in mine:
            if kind.startswith("positional") and mine[name][1] == "keyword_only":
                yield "keyword", name, ""
            if mine[name][2] != value and name != "name" and not kind.startswith("var"):
                yield "default", name, f"{mine[name][2] or 'none'} for {value or 'none'}"
        elif name not in renamed and not kind.startswith("var"):
            yield "absent", name, ""
    for name, (_, kind, _) in mine.items():
        known = name in other or name in renamed.values() or any_name
        if not known and not kind.startswith("var"):
            yield "more", name, ""
    for place, name in enumerate(places):
        if name in wanted and wanted.index(name) != place and name not in renamed.values():
            yield "place", name, f"{place + 1} for {wanted.index(name) + 1}"


def all_deviations():
    """Yield the path of each function that differs, and how; of several names, the first."""
    seen = set()
    for path, theirs in recorded().items():
        found = found_at(path)
        ours = parameters(found)
        if ours is not None and theirs is not None:
            for each in deviations(path, ours, theirs):
                if (found, *each) not in seen:
                    seen.add((found, *each))
                    yield path, *each


def recorded():
    """Return the signatures of TensorFlow's functions."""
    return json.loads(FILE.read_text())


def found_at(path):
    """Return our function at a path; those of variables are `headgate.Variable`'s."""
    found = headgate.tf
    for name in path.split("."):
        found = getattr(headgate.Variable if found is headgate.tf.Variable else found, name)
    return found


KINDS = {
    "absent": "Arguments that are not taken: Python's `TypeError` names them.",
    "keyword": "Arguments that are taken by name only: by place, Python's `TypeError`.",
    "named": "First arguments of another name, which programs give by place.",
    "default": "Other defaults.",
    "more": "Arguments that TensorFlow does not have.",
}
"""Kind of difference -> what stands above its table. Another place for an argument is none."""

REASONS = {
    "absent": {
        "no constraints: `assign` after the update": (
            *("constraint", "kernel_constraint", "bias_constraint"),
            *("beta_constraint", "gamma_constraint", "embeddings_constraint"),
            "recurrent_constraint",
        ),
        "taken by name among the options of every layer that makes such a weight": (
            *("kernel_regularizer", "bias_regularizer", "beta_regularizer", "gamma_regularizer"),
            *("embeddings_regularizer", "recurrent_regularizer"),
        ),
        "elements come one after the other": ("synchronous", "use_unbounded_threadpool"),
        "numbers alone are written": (
            *("histogram_freq", "write_graph", "write_images", "write_steps_per_second"),
            *("profile_batch", "embeddings_freq", "embeddings_metadata"),
        ),
        "the class fixes it; TensorFlow's classes have it of their bases": (
            *("rank", "cell", "pool_dimensions", "pool_mode", "zero_output_for_mask"),
        ),
        "inputs are cast to the dtype of a layer in any case": ("autocast",),
        "no sparse and ragged tensors": ("sparse", "ragged"),
        "no tensors as inputs of models, and none left out": (
            *("tensor", "input_tensor", "optional", "batch_shape"),
        ),
        "one process: nothing to lay out, share or gather": (
            *("layout", "aggregation", "synchronized", "experimental_enable_variable_lifting"),
        ),
        "masks are arguments of the layers that read them, and not handed on": (
            *("mask", "mask_zero", "query_mask", "value_mask", "key_mask"),
        ),
        "no adapters and no quantization": (
            *("lora_rank", "lora_alpha", "quantization_config", "overwrite_with_gradient"),
        ),
        "not there": (
            *("renorm", "renorm_clipping", "renorm_momentum", "recurrent_dropout", "stateful"),
            *("attention_axes", "sliding_window", "use_gate", "multi_label", "num_labels"),
            *("label_weights", "from_sorted_ids", "keras.metrics.MeanIoU.axis"),
            *("input_axes", "output_axes", "keras.layers.Flatten.data_format"),
            *("weights", "output_shape", "arguments", "skip_mismatch", "max_shard_size"),
            "support_partition",
            "keras.callbacks.ReduceLROnPlateau.baseline",
        ),
        "one way to compute it": ("unroll", "use_cudnn", "flash_attention"),
        "the table has what Headgate knows": (
            *("line_length", "positions", "print_fn", "show_trainable", "layer_range"),
        ),
        "models are built when they are called": ("rebuild",),
        "shapes are found by a call": ("initial_state_shape", "value_shape", "key_shape"),
        "the function's own arguments are handed on": ("training", "inputs"),
        "names alone are counted": ("free_memory",),
        "schedules have no names": ("name",),
        "`headgate.optim.averages`, gradients added up by hand": (
            *("use_ema", "ema_momentum", "ema_overwrite_frequency"),
            *("loss_scale_factor", "gradient_accumulation_steps"),
        ),
    },
    "keyword": {
        "what stands before it in TensorFlow's order is not taken": (
            *("name", "trainable", "expand_nested", "use_bias", "kernel_initializer"),
            *("bias_initializer", "dropout", "seed", "return_sequences", "return_state"),
            *("go_backwards", "reset_after", "thresholds", "from_logits", "attention_mask"),
            *("return_attention_scores", "training", "use_causal_mask", "weight_decay"),
            *("clipnorm", "clipvalue", "global_clipnorm", "warmup_target", "warmup_steps"),
            *("update_freq", "activity_regularizer"),
        ),
    },
    "named": {
        "the same value": (
            *("inputs", "sequences", "sequences_shape", "query_shape", "variables", "identifier"),
        ),
        "made by its methods, not by its constructor": ("variant_tensor",),
    },
    "default": {
        "without effect": ("synchronization", "Variable.aggregation"),
        "whole models are not written": ("save_weights_only",),
        "must be given, or is found out": (
            *("true_fn", "false_fn", "func", "inp", "Tout", "input_shape", "trainable_variables"),
            *("keras.Input.shape", "keras.layers.Input.shape"),
        ),
        "the same": (
            *("constant_initializer.value", "random_normal_initializer.__call__.dtype"),
            "random_uniform_initializer.__call__.dtype",
            *(
                "TensorShape.dims",
                "shape_n.out_type",
                "strides",
                "dilation_rate",
                "training",
                "nn.avg_pool.data_format",
            ),
            *("nn.max_pool.data_format", "keras.layers.MaxPooling2D.pool_size"),
            "keras.layers.MaxPool2D.pool_size",
        ),
        "as the other layers and metrics": (
            *("pool_size", "initializer", "keras.metrics.AUC.add_variable.shape"),
            "learning_rate",
        ),
    },
    "more": {
        "a model of inputs and outputs, which Keras has by another constructor": (
            *("inputs", "outputs", "name", "trainable", "dtype"),
        ),
        "sizes known beforehand, which Keras takes as well": ("input_shape", "input_dim"),
        "as `Conv2D`'s": ("groups",),
        "what the result adds to the loss, as other layers have it": ("activity_regularizer",),
        "made by its methods, not by its constructor": ("data.Dataset.length",),
        "an older name of Keras'": ("alpha",),
        "as `numpy_function`'s": ("stateful",),
        "looks at indices, classes and divisors while a program runs": ("function.check",),
        "lets a program write over the old values of variables": ("function.donate",),
        "how exactly float32 is multiplied on an accelerator": ("function.precision",),
        "an input": ("keras.layers.InputLayer.call.x",),
    },
}
"""Kind of difference -> why it is so -> arguments, with a function's path before or without."""


UNREAD = {
    "InputLayer.batch_size": "batches may have any size",
    "name": "names belong to graphs, and there are none",
    "alg": "there is one algorithm of random numbers",
    "Variable.caching_device": "there is one device",
    "Variable.import_scope": "TensorFlow reads it with variable_def, which is refused",
    "Variable.synchronization": "there are no replicas",
    "Variable.aggregation": "there are no replicas",
    "Variable.validate_shape": "a variable has the shape of its value, or what shape= says",
    "function.input_signature": "each form of arguments is compiled when it comes",
    "function.autograph": "Python control flow is never rewritten; the docstring says so",
    "function.reduce_retracing": "a hint for speed",
    "function.experimental_implements": "a label for other compilers",
    "function.experimental_autograph_options": "as autograph",
    "function.experimental_attributes": "labels for other compilers",
    "function.experimental_relax_shapes": "a hint for speed",
    "function.experimental_follow_type_hints": "a hint for speed",
    "einsum.optimize": "an order of products; the result is the same",
    "gather.validate_indices": "without effect in TensorFlow too: indices are always checked",
    "argsort.stable": "sorts are stable in any case",
    "top_k.sorted": "what is found is sorted in any case",
    "moments.shift": "without effect in TensorFlow too",
    "numpy_function.stateful": "functions are called each time",
    "while_loop.shape_invariants": "shapes are those of the first values; others are refused",
    "group.inputs": "what was passed has already run",
    "matmul.a_is_sparse": "a hint for speed",
    "matmul.b_is_sparse": "a hint for speed",
    "matmul.grad_a": "without effect in TensorFlow too",
    "matmul.grad_b": "without effect in TensorFlow too",
    "diag_part.padding_value": "one diagonal needs no padding",
    "diag_part.align": "one diagonal needs no padding",
    "diag.align": "one diagonal needs no padding",
    "set_diag.align": "one diagonal needs no padding",
    "parallel_iterations": "a hint for speed",
    "swap_memory": "a hint for memory",
    "infer_shape": "shapes are known",
    "vectorized_map.fallback_to_while_loop": "rows are taken one after the other in any case",
    "vectorized_map.warn": "rows are taken one after the other in any case",
    "validate_args": "arguments are always checked",
    "matvec.a_is_sparse": "a hint for speed",
    "matvec.b_is_sparse": "a hint for speed",
    "accumulate_n.shape": "that of the tensors",
    "accumulate_n.tensor_dtype": "that of the tensors",
    "expand_composites": "no sparse and ragged tensors",
    "control_dependencies.control_inputs": "ops run in the order in which they are written",
    "device.device_name": "there is one device",
    "__exit__.error": "errors pass",
    "get_memory_growth.device": "there is one device",
    "set_memory_growth.device": "there is one device",
    "set_memory_growth.enable": "memory is taken as it is needed",
    "set_visible_devices.devices": "there is one device",
    "set_visible_devices.device_type": "there is one device",
    "set_soft_device_placement.enabled": "there is one device",
    "TensorArray.clear_after_read": "a hint for memory",
    "TensorArray.colocate_with_first_write_call": "there is one device",
    "TensorArray.tensor_array_name": "names belong to graphs, and there are none",
}
"""Argument: why nothing has to read it. With a function's name before it, for that one alone."""


def reason(path, kind, argument):
    """Return why a difference is there, or None."""
    for name in (f"{path}.{argument}", argument):
        for words, names in REASONS.get(kind, {}).items():
            if name in names:
                return words
    return None


def page():
    """Return the part of the page that lists the differences."""
    rows = collections.defaultdict(lambda: collections.defaultdict(list))
    for path, kind, argument, what in all_deviations():
        if kind == "default":
            argument = f"{argument}={what.split(' for ')[0]}"
        elif kind == "named":
            argument = f"{argument}` as `{what}"
        words = reason(path, kind, argument.split("=")[0].split("`")[0])
        rows[kind][words, argument].append(f"`{path}`")
    text = [f"{BEGIN}, by tests/tf_semantics/record_signatures.py -->"]
    for kind, above in KINDS.items():
        text += ["", above, "", "| Argument | Of | Why |", "|---|---|---|"]
        same = collections.defaultdict(list)
        for (words, argument), paths in rows[kind].items():
            same[words, tuple(paths)].append(f"`{argument}`")
        for (words, paths), arguments in sorted(same.items(), key=lambda each: str(each[0])):
            text.append(f"| {', '.join(arguments)} | {shortened(paths)} | {words} |")
    text += [
        "",
        "Arguments that are taken, and have no effect.",
        "",
        "| Argument | Why |",
        "|---|---|",
    ]
    same = collections.defaultdict(list)
    for argument, words in sorted(UNREAD.items()):
        same[words].append(f"`{argument}`")
    text += [f"| {', '.join(arguments)} | {words} |" for words, arguments in same.items()]
    return "\n".join([*text, "", END])


def shortened(paths):
    """Return functions of one module with its name once."""
    modules = collections.defaultdict(list)
    for path in paths:
        module, _, name = path.strip("`").rpartition(".")
        if module.rpartition(".")[2][:1].isupper():  # a method
            module, _, kind = module.rpartition(".")
            name = f"{kind}.{name}"
        modules[module].append(f"`{name}`")
    return "; ".join(
        f"`{module}`: {', '.join(names)}" if module else ", ".join(names)
        for module, names in modules.items()
    )


def write_page():
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + page() + rest.partition(END)[2])


if __name__ == "__main__":
    if "--page" in sys.argv:
        write_page()
        sys.exit()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow

    found = {path: parameters(other) for path, _, other in shared(headgate.tf, tensorflow)}
    lines = (f"{json.dumps(path)}: {json.dumps(each)}" for path, each in sorted(found.items()))
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(len(found), "signatures")
