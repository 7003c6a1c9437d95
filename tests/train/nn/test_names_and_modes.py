"""Paths of layers and variables, freezing by path, training mode, state."""

import numpy as np
import pytest

import headgate as hg
from headgate import nn
from headgate.flow.watch.headgate import Watch


class Autoencoder(nn.Model):
    """Layers in attributes, one of them built beforehand, in a list and in a dictionary."""

    def __init__(self, name=None):
        super().__init__(name=name)
        self.encoder = nn.Sequential([nn.Dense(4), nn.Dense(3)])
        self.decoder = nn.Sequential([nn.Input((3,)), nn.Dense(4), nn.Dense(5, name="last")])
        self.scale = hg.Variable(np.float32(2.0))
        self.heads = [nn.Dense(1), nn.Dense(1)]
        self._gate = nn.Dense(1, use_bias=False)
        self.more = {"norm": nn.BatchNormalization()}

    def call(self, x):
        y = self.more["norm"](self.decoder(self.encoder(x)))
        return sum(head(y) for head in self.heads) * self.scale * self._gate(y)


PATHS = [
    "scale",
    *(f"encoder/dense{n}/{what}" for n in ("", "_1") for what in ("kernel", "bias")),
    *(f"decoder/{name}/{what}" for name in ("dense", "last") for what in ("kernel", "bias")),
    *(f"dense{n}/{what}" for n in ("", "_1") for what in ("kernel", "bias")),
    "gate/kernel",
    *(
        f"batch_normalization/{what}"
        for what in ("gamma", "beta", "moving_mean", "moving_variance")
    ),
]


def built(name=None):
    model = Autoencoder(name)
    model.build((None, 5))
    return model


def test_variables_are_named_after_their_paths():
    model = built("model")
    assert list(model.named_variables()) == PATHS
    assert [variable.name for variable in model.variables] == [f"model/{path}" for path in PATHS]
    pairs = zip(model.named_variables().values(), model.variables, strict=True)
    assert all(one is other for one, other in pairs)


def test_paths_do_not_depend_on_what_else_was_made():
    first = list(built().named_variables())
    nn.Dense(2).build((None, 3))
    assert list(built().named_variables()) == first


def test_a_model_made_from_symbols_names_its_layers():
    x = nn.Input((3,))
    y = nn.Dense(2)(nn.Dense(4, name="first")(x))
    model = nn.Model(x, nn.Dense(1)(y), name="model")
    assert list(model.named_variables()) == [
        f"{name}/{what}" for name in ("first", "dense", "dense_1") for what in ("kernel", "bias")
    ]
    assert model.variables[2].name == "model/dense/kernel"


def test_a_layer_in_two_models_keeps_the_name_that_the_first_gave_it():
    shared = nn.Dense(2)
    first = nn.Sequential([nn.Dense(3), shared], name="first")
    second = nn.Sequential([shared], name="second")
    first.build((None, 4))
    assert shared.path == "first/dense_1"
    assert list(second.named_variables()) == ["dense_1/kernel", "dense_1/bias"]
    assert second.variables[0] is first.variables[2]


def test_equal_names_are_told_apart_in_paths():
    model = nn.Sequential([nn.Dense(2, name="same"), nn.Dense(2, name="same")])
    model.build((None, 2))
    assert list(model.named_variables()) == [
        "same/kernel",
        "same/bias",
        "same_1/kernel",
        "same_1/bias",
    ]


def test_variables_with_a_name_of_their_own_keep_it():
    class Scaled(nn.Layer):
        def __init__(self):
            super().__init__(name="scaled")
            self.factor = hg.Variable(1.0, name="temperature")

        def call(self, x):
            return x * self.factor

    layer = Scaled()
    layer([[1.0]])
    assert layer.factor.name == "temperature"
    assert list(layer.named_variables()) == ["factor"]


def test_a_deep_model_is_named_in_reasonable_time():
    model = nn.Sequential([nn.Sequential([nn.Dense(1)]) for _ in range(300)])
    for _ in range(8):
        model = nn.Sequential([model])  # renaming must not double with each level
    model.build((None, 1))
    assert model.variables[-1].name.endswith("sequential_299/dense/bias")


# -- freezing --------------------------------------------------------------------------------------


def test_freezing_by_path_takes_variables_out_and_unfreezing_puts_them_back():
    model = built()
    every = [path for path in PATHS if "moving" not in path]
    names = {id(v): path for path, v in model.named_variables().items()}

    def trained():
        return [names[id(variable)] for variable in model.trainable_variables]

    assert trained() == every
    model.freeze("encoder/*", "*/bias")
    left = [path for path in every if not (path.startswith("encoder/") or path.endswith("/bias"))]
    assert trained() == left
    assert len(model.non_trainable_variables) == len(PATHS) - len(left)
    model.unfreeze("encoder/dense_1/kernel")
    assert "encoder/dense_1/kernel" in trained()
    model.unfreeze("*")
    assert trained() == every


def test_a_frozen_variable_is_left_alone_by_training_and_not_complained_about():
    model = nn.Sequential([nn.Dense(2), nn.Dense(1)])
    model.build((None, 3))
    model.freeze("dense/kernel")
    before = [v.numpy() for v in model.variables]
    optimizer = hg.optim.SGD(0.1)
    with hg.GradientTape() as tape:
        loss = hg.sum(model(np.ones((2, 3), "float32")) ** 2)
    variables = model.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
    changed = [not np.array_equal(a, v.numpy()) for a, v in zip(before, model.variables)]
    assert changed == [False, True, True, True]


def test_why_tells_of_a_variable_frozen_by_path_before_it_learnt_anything():
    model = nn.Sequential([nn.Dense(2), nn.Dense(1)], name="model")
    model.build((None, 3))
    with Watch() as watch:
        model.freeze("dense/*")
        with hg.GradientTape() as tape:
            loss = hg.sum(model(np.ones((2, 3), "float32")) ** 2)
        tape.gradient(loss, model.trainable_variables)
    kernel, bias = watch.findings()
    assert (kernel.parameter, bias.parameter) == ("model/dense/kernel", "model/dense/bias")
    assert {kernel.kind, bias.kind} == {"frozen"}
    assert kernel.text == 'model.freeze("dense/*")'


def test_a_pattern_that_matches_nothing_is_refused_with_the_paths():
    model = built("model")
    with pytest.raises(ValueError, match=r"model has no variable that matches 'enc/\*'.*encoder/"):
        model.freeze("*/bias", "enc/*")
    assert len(model.trainable_variables) == len(PATHS) - 2
    with pytest.raises(ValueError, match="not built yet: call it, or build"):
        nn.Dense(2).freeze("*")


# -- training mode ---------------------------------------------------------------------------------


class Asks(nn.Layer):
    """Says which mode it is called in."""

    def call(self, x, training=None):
        return x * 0.0 + (2.0 if training is None else float(training))


def mode(model, **options):
    return float(model(hg.ones((1,)), **options)[0])


def test_train_and_eval_set_the_mode_of_calls_that_do_not_say_it():
    model = nn.Sequential([nn.Sequential([Asks()])])
    assert mode(model) == 2.0
    assert mode(model.train()) == 1.0
    assert mode(model.eval()) == 0.0
    assert mode(model, training=True) == 1.0
    assert mode(model) == 0.0
    assert mode(model.train(False)) == 0.0


def test_a_part_can_stay_in_its_own_mode_until_the_whole_is_set_again():
    inner = nn.Sequential([Asks()])
    model = nn.Sequential([inner])
    inner.eval()
    assert mode(model, training=True) == 0.0
    assert mode(inner, training=True) == 1.0
    model.train()
    assert mode(model) == 1.0


def test_the_mode_of_an_inner_layer_does_not_outlive_its_call():
    frozen, free = nn.Sequential([Asks()]).eval(), Asks()

    class Both(nn.Model):
        def call(self, x):
            return frozen(x) + 10.0 * free(x)

    assert mode(Both(), training=True) == 10.0


@pytest.mark.parametrize("make", ["build", "add", "symbols"])
def test_finding_shapes_teaches_a_layer_nothing(make):
    norm, noise = nn.BatchNormalization(), nn.Dropout(0.5)
    hg.random.set_seed(0)
    state = hg.random.get_state()
    if make == "symbols":
        model = nn.Model(x := nn.Input((3,)), noise(norm(x, training=True), training=True))
    else:
        model = nn.Sequential([nn.Input((3,)), norm, noise] if make == "add" else [norm, noise])
        model.train().build((None, 3))
    assert np.array_equal(norm.moving_mean.numpy(), np.zeros(3))
    assert np.array_equal(norm.moving_variance.numpy(), np.ones(3))
    assert str(hg.random.get_state()) == str(state)
    model(np.ones((4, 3), "float32") * [1.0, 2.0, 3.0], training=True)
    assert norm.moving_mean.numpy() == pytest.approx([0.01, 0.02, 0.03], rel=1e-5)


# -- state -----------------------------------------------------------------------------------------


def test_state_goes_from_one_model_to_another():
    model, other = built(), built()
    other.set_state(model.get_state())
    for one, two in zip(model.variables, other.variables):
        assert np.array_equal(one.numpy(), two.numpy())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("scale"), r"missing: \['scale'\], unknown: \[\]"),
        (lambda state: state.update(extra=np.ones(2)), r"missing: \[\], unknown: \['extra'\]"),
        (
            lambda state: state.update({"gate/kernel": np.ones((2, 2), "float32")}),
            r"'gate/kernel' of the state has the shape \(2, 2\) and dtype float32; "
            r"expected \(5, 1\) and float32",
        ),
        (
            lambda state: state.update({"gate/kernel": np.ones((5, 1))}),
            "'gate/kernel' .* dtype float64; expected .* float32",
        ),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, words):
    model = built()
    before = model.get_state()
    state = {path: value + 1 for path, value in before.items()}
    change(state)
    with pytest.raises(ValueError, match=words):
        model.set_state(state)
    assert all(np.array_equal(model.get_state()[path], before[path]) for path in before)


def test_a_state_is_refused_by_a_model_without_variables_yet():
    with pytest.raises(ValueError, match="not built yet"):
        nn.Sequential([nn.Dense(2)]).set_state({"dense/kernel": np.ones((2, 2), "float32")})


# -- the table -------------------------------------------------------------------------------------


def test_summary_shows_paths_shapes_and_what_is_trained(capsys):
    model = built("model")
    model.freeze("encoder/*")
    model.summary(expand_nested=True)
    table = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in table.splitlines()]
    assert ["encoder", "Sequential", "(None, 3)", "39", "0"] in rows
    assert ["last", "Dense", "(None, 5)", "25", "25"] in rows
    total = sum(variable.size for variable in model.variables)
    assert ["all", "", "", str(total), str(total - 39 - 10)] in rows
    nn.Sequential([nn.Dense(2)]).summary()
    assert "not built" in capsys.readouterr().out
