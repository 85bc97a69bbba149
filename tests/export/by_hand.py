"""Small classifiers whose answers differ from picture to picture, and each format run by hand."""

import numpy as np

from imgcls import architectures, images
from imgcls.export import Facts, export


class Made:
    """A classifier with what its export needs; exported by `to`."""

    def __init__(self, model, facts):
        self.model, self.facts = model, facts
        self.pixels = images.drawn(40, facts.input_shape)
        self.golden = self.pixels[:8]

    @property
    def truth(self):
        """Keras' own answer to all pictures, outside of any graph of ours."""
        found = np.asarray(self.model(self.pixels.astype(np.float32), training=False))
        return np.concatenate([1 - found, found], axis=1) if found.shape[1] < len(self.facts.classes) else found

    def to(self, path, form=None, **wanted):
        wanted = {"golden": (self.golden, self.truth[:8]), "facts": self.facts} | wanted
        return export(self.model, path, form, **wanted)


def lively(architecture="small_cnn", side=16, channels=3, classes=("ant", "bee", "cat"), *, outputs=None, **options):
    """Return a network with statistics of drawn pictures, and a head that tells them apart."""
    import keras

    keras.utils.set_random_seed(0)
    shape = (side, side, channels)
    model = architectures.build(architecture, input_shape=shape, num_classes=outputs or len(classes), **options)
    seen = images.drawn(32, shape)
    if architecture.startswith("speed"):
        architectures.whiten(model, seen)
    seen = seen.astype(np.float32)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(seen, training=True)
    features = np.asarray(architectures.cut(model)(seen, training=False))
    kernel = np.random.default_rng(0).normal(size=(features.shape[1], model.output_shape[1]))
    kernel *= 2 / ((features - features.mean(axis=0)) @ kernel).std()
    model.get_layer("head").set_weights([kernel, -features.mean(axis=0) @ kernel])
    facts = Facts(
        str(architecture),
        tuple(classes),
        shape,
        model.count_params(),
        multi_label=options.get("head") == "sigmoid" and outputs is None,
    )
    return Made(model, facts)


def run_by_hand(path, pixels):
    """Run an export as its format's own users do, without anything of ours."""
    if path.is_dir():
        import tensorflow as tf

        loaded = tf.saved_model.load(str(path))
        return np.asarray(loaded.signatures["serving_default"](images=tf.constant(pixels))["probabilities"])
    if path.suffix == ".keras":
        import keras

        return np.asarray(keras.saving.load_model(path)(pixels, training=False))
    if path.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return session.run(["probabilities"], {"images": pixels})[0]
    if path.suffix == ".xml":
        import openvino

        core = openvino.Core()
        model = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return np.array(model({"images": pixels})["probabilities"])
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(model_path=str(path)).get_signature_runner("serving_default")
    return np.concatenate([run(images=one[None])["probabilities"] for one in pixels])
