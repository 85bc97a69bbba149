"""Optimizers by name: their settings, what weight decay acts on, averages and clipping as computed by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from imgcls import ConfigurationError, architectures, trainer
from imgcls.trainer._muon import Muon
from imgcls.trainer._optimizers import OPTIMIZERS, exclude_from_weight_decay, set_on

CLASSES = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "sgd": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
    "muon": Muon,
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_name_becomes_its_keras_class_with_a_rate_that_can_be_moved(name):
    engine = trainer.optimizer(name)
    assert type(engine) is CLASSES[name]
    assert float(engine.learning_rate) > 0
    engine.learning_rate = 0.125
    assert float(engine.learning_rate) == 0.125
    assert (engine.global_clipnorm, engine.use_ema) == (None, False)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_settings_reach_keras(name):
    given = {"weight_decay": np.float32(0.25), "clip_norm": 2, "average": 0.99}
    engine = trainer.optimizer(name, np.float32(0.5), **given)
    assert float(engine.learning_rate) == 0.5
    assert (engine.weight_decay, engine.global_clipnorm, engine.use_ema, engine.ema_momentum) == (0.25, 2, True, 0.99)
    assert not trainer.optimizer(name, weight_decay=None).weight_decay
    assert not trainer.optimizer(name, weight_decay=0).weight_decay
    schedule = keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.9)
    assert trainer.optimizer(name, schedule).get_config()["learning_rate"]["config"] == schedule.get_config()


def test_sgd_has_nesterov_momentum():
    settings = trainer.optimizer("sgd").get_config()
    assert (settings["momentum"], settings["nesterov"]) == (0.9, True)


def test_an_optimizer_of_the_user_is_copied_without_its_state():
    mine = keras.optimizers.SGD(0.25, momentum=0.5, weight_decay=0.1)
    mine.build([keras.Variable(1.0)])
    copy = trainer.optimizer(mine)
    assert copy is not mine
    assert not copy.built
    assert copy.get_config() == mine.get_config()


class Unknown(keras.optimizers.schedules.LearningRateSchedule):
    """Is not registered with Keras, which could not build it again, and cannot tell its settings."""

    def __init__(self, first):
        self.first = first

    def __call__(self, step):
        return self.first / (1 + keras.ops.cast(step, "float32"))


class Told(Unknown):
    """Is not registered either, and tells its settings."""

    def get_config(self):
        return {"first": self.first}


@pytest.mark.parametrize("schedule", [Unknown(0.5), Told(0.5), lambda: 0.25])
@pytest.mark.parametrize("scaled", [False, True])
def test_what_leads_a_rate_is_the_same_object_in_the_copy(schedule, scaled):
    mine = keras.optimizers.SGD(schedule, momentum=0.5, clipnorm=2.0)
    given = keras.optimizers.LossScaleOptimizer(mine, initial_scale=8.0, dynamic_growth_steps=5) if scaled else mine
    found = trainer.optimizer(given)
    copy = found.inner_optimizer if scaled else found
    assert copy is not mine
    assert copy._learning_rate is mine._learning_rate is schedule
    assert (copy.momentum, copy.clipnorm, copy.name) == (0.5, 2.0, mine.name)
    if scaled:
        assert (found.initial_scale, found.dynamic_growth_steps) == (8.0, 5)
    weight = keras.Variable(0.0)
    copy.apply([tf.constant(1.0)], [weight])
    assert float(weight) == pytest.approx(-0.25 if callable(schedule) and not isinstance(schedule, Unknown) else -0.5)


# --- weight decay --------------------------------------------------------------------------------------------------------


def vision_transformer():
    """Return attention over embedded positions, whose biases have two dimensions, and a norm over two axes."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 4, strides=4)(inputs)
    x = keras.layers.LayerNormalization(axis=(1, 2, 3), name="wide_norm")(x)
    x = keras.layers.Reshape((4, 6))(x)
    x = x + keras.layers.Embedding(4, 6)(keras.ops.arange(4))
    x = keras.layers.MultiHeadAttention(2, 3)(x, x)
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x)))


MODELS = {
    "small_resnet": lambda: architectures.build("small_resnet", input_shape=(32, 32, 3), num_classes=10),
    "mobilenet_v2": lambda: architectures.build("mobilenet_v2_035", input_shape=(32, 32, 3), num_classes=10),
    "convnext_tiny": lambda: keras.applications.ConvNeXtTiny(weights=None, input_shape=(32, 32, 3), classes=10),
    "vision_transformer": vision_transformer,
}


LARGE = {"convnext_tiny", "mobilenet_v2"}  # seconds each to build


@pytest.mark.parametrize(
    ("model", "optimizer"),
    [
        *(pytest.param(name, "adamw", marks=pytest.mark.slow if name in LARGE else ()) for name in MODELS),
        ("small_resnet", "sgd"),
        ("small_resnet", "muon"),
    ],
)
def test_exactly_kernels_decay(model, optimizer):
    model = MODELS[model]()
    engine = trainer.optimizer(optimizer, 0.5, weight_decay=0.5)
    exclude_from_weight_decay(engine, model)
    before = [one.numpy() + 1.0 for one in model.trainable_variables]
    for variable, value in zip(model.trainable_variables, before, strict=True):
        variable.assign(value)
    engine.build(model.trainable_variables)
    nothing = [tf.zeros(one.shape) for one in model.trainable_variables]
    tf.function(lambda: engine.apply(nothing, model.trainable_variables))()
    for variable, value in zip(model.trainable_variables, before, strict=True):
        expected = 0.75 * value if variable.name.endswith("kernel") else value
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-6, err_msg=variable.path)


@pytest.mark.parametrize("scaled", [False, True])
def test_names_that_an_optimizer_of_the_user_leaves_out_of_decay_are_left_out_by_its_copy(scaled):
    mine = keras.optimizers.AdamW(0.5, weight_decay=0.5)
    mine.exclude_from_weight_decay(var_names=["bias", "gamma"])
    given = keras.optimizers.LossScaleOptimizer(mine, initial_scale=1.0) if scaled else mine
    copy = trainer.optimizer(given)
    variables = [keras.Variable(1.0, name=name) for name in ("kernel", "bias", "gamma", "beta")]
    copy.build(variables)
    copy.apply([tf.zeros(())] * 4, variables)
    assert [float(one) for one in variables] == pytest.approx([0.75, 1.0, 1.0, 0.75])


# --- clipping and averages -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scaled", [False, True])
def test_early_layers_learn_more_slowly_also_where_the_loss_is_scaled(scaled):
    model = keras.Sequential([keras.Input((3,)), *(keras.layers.Dense(3, use_bias=False) for _ in range(3))])
    plain = keras.optimizers.SGD(0.1)
    engine = set_on(
        keras.optimizers.LossScaleOptimizer(plain, initial_scale=4.0) if scaled else plain,
        model,
        named=False,
        first_layer_rate=0.25,
    )
    before = model.get_weights()
    scale = 4.0 if scaled else 1.0
    engine.apply([scale * np.ones((3, 3), np.float32)] * 3, model.trainable_variables)
    for share, old, new in zip((0.25, 0.5, 1.0), before, model.get_weights(), strict=True):
        np.testing.assert_allclose(old - new, 0.1 * share, rtol=1e-4)


def test_clipping_shortens_all_gradients_together():
    engine = trainer.optimizer("sgd", 1.0, weight_decay=None, clip_norm=1.0)
    weights = [keras.Variable(0.0), keras.Variable(0.0)]
    engine.apply([tf.constant(3.0), tf.constant(4.0)], weights)
    assert [float(one) for one in weights] == pytest.approx([-0.6 * 1.9, -0.8 * 1.9])  # Nesterov's first step: 1 + 0.9


def test_the_average_becomes_the_weights_at_the_end():
    engine = trainer.optimizer("rmsprop", 0.1, average=0.75)
    weight = keras.Variable(1.0)
    average = None
    for _ in range(4):
        engine.apply([tf.constant(1.0)], [weight])
        average = float(weight) if average is None else 0.75 * average + 0.25 * float(weight)
    assert float(weight) != pytest.approx(average)
    engine.finalize_variable_values([weight])
    assert float(weight) == pytest.approx(average)


# --- refusals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (
            ("adamm",),
            {},
            "optimizer='adamm' is not known. Did you mean 'adam'? Accepted: adam, adamw, sgd, rmsprop, muon.",
        ),
        (("sgd", "atuo"), {}, "learning_rate='atuo' is not known. Did you mean 'auto'? Accepted: auto."),
        (("sgd", 0), {}, "learning_rate=0 is not accepted. Accepted: a number above 0."),
        (
            ("sgd",),
            {"weight_decay": -0.1, "clip_norm": 0, "average": 1},
            (
                "3 arguments are wrong:\n"
                "- weight_decay=-0.1 is not accepted. Accepted: a number from 0 to below 1.\n"
                "- clip_norm=0 is not accepted. Accepted: a number above 0.\n"
                "- average=1 is not accepted. Accepted: a number from 0 to below 1."
            ),
        ),
        (
            (keras.optimizers.SGD(), 0.1),
            {},
            "learning_rate=0.1 goes with a named optimizer; SGD has its own. Leave it out.",
        ),
        (
            (keras.optimizers.SGD(), 0.1),
            {"weight_decay": 0.1, "average": 0.9},
            "learning_rate=0.1, weight_decay=0.1, average=0.9 go with a named optimizer; SGD has its own. Leave them out.",
        ),
    ],
)
def test_refusals_in_words(arguments, options, message):
    with pytest.raises(ConfigurationError) as refusal:
        trainer.optimizer(*arguments, **options)
    assert str(refusal.value) == message


def test_variables_that_are_left_out_of_decay_without_their_names_are_refused():
    mine = keras.optimizers.AdamW(0.5, weight_decay=0.5)
    mine.exclude_from_weight_decay(var_list=[keras.Variable(1.0)])
    with pytest.raises(ConfigurationError) as refusal:
        trainer.optimizer(mine)
    assert str(refusal.value) == (
        "AdamW leaves variables out of weight decay that exclude_from_weight_decay(var_list=) has taken from a model, "
        "and what is trained may be a copy of it. Give var_names= instead."
    )
