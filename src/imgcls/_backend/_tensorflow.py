"""TensorFlow: everything that runs inside a graph.

XLA is off unless asked for: on CPUs it made convolutions 3 to 17 times slower (measured with TensorFlow 2.21).
Functions are traced once, when they are made, and called by their one concrete graph: many classifiers in one process,
as in cross-validation, are no "frequent retracing" that TensorFlow would warn of.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from imgcls._backend._strategy import Placement, refresh_normalizations
from imgcls.errors import TrainingError

OutOfMemory = tf.errors.ResourceExhaustedError


@final
class TrainingStep:
    """One optimizer step as one compiled graph: cast, augmentation, forward, loss, gradients, update, running means.

    Means are kept on the device and fetched when asked for, so that a step never waits for Python.

    Args:
        model: A `keras.Model`.
        optimizer: A `keras.optimizers.Optimizer`.
        loss: A function (targets, outputs, weights) to a scalar.
        augmentation: A `keras.Layer` from float32 images 0-255 to the same, or None.
        mixing: A `keras.Layer` from (images, targets, weights) to the same, or None.
        one_label: Whether an output row is a distribution over classes, not a set of yes-or-no answers.
        targets: Shape and dtype of one target, such as ((10,), "float32").
        micro_batches: In how many parts, one after the other, a batch goes through the model. The gradient is that of
            the whole batch; memory is that of a part.
        jit_compile: Whether XLA compiles the model, the loss and their gradients. Augmentation stays outside, since
            TensorFlow's warp of images has no kernel for XLA, and so does the update, which other devices take part in.
        place: The devices that share each batch. The model and the optimizer must live there; layers are copied to it.

    Attributes:
        micro_batches: The same; it may be changed between steps.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        loss: Callable[[Any, Any, Any], Any],
        *,
        augmentation: Any,
        mixing: Any = None,
        one_label: bool,
        targets: tuple[tuple[int, ...], str],
        micro_batches: int = 1,
        jit_compile: bool = False,
        place: Placement | None = None,
    ) -> None:
        self._place = Placement() if place is None else place
        self._model, self._optimizer, self._loss = model, optimizer, loss
        self._augmentation, self._mixing, self._one_label = augmentation, mixing, one_label
        self.micro_batches = micro_batches
        self._jit_compile, self._learn = jit_compile, self._loss_and_gradients
        if jit_compile:
            self._learn = tf.function(self._loss_and_gradients, jit_compile=True)
        if self._place.strategy is not None:
            inner = getattr(optimizer, "inner_optimizer", optimizer)  # of one that scales the loss
            inner._all_reduce_sum_gradients = list  # noqa: SLF001 - Keras would sum after it has clipped, and we have summed before
        with self._place.scope():
            optimizer.build(model.trainable_variables)
            self._sums = tf.Variable(tf.zeros(3), trainable=False)  # of loss, of hits, of images
        shape, dtype = targets
        self._signature = [
            tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8),
            tf.TensorSpec((None, *shape), dtype),
            tf.TensorSpec((None,), tf.float32),
            tf.TensorSpec((), tf.float32),
        ]
        self._graphs: dict[Any, Any] = {}
        self._build_layers()
        self._place.begin_alike(self._variables())

    def __call__(
        self,
        images: NDArray[np.uint8],
        targets: NDArray[Any],
        weights: NDArray[np.float32],
        *,
        rate: float | None = None,
        mix: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Train on one batch, or this worker's part of it: `uint8 (n, H, W, C)`, targets `(n, ...)`, weights `(n,)`.

        Args:
            images: The images.
            targets: What the loss compares outputs with.
            weights: The weight of each image.
            rate: The learning rate of this step; None leaves the optimizer's own.
            mix: Whether images are mixed, where there is a layer that does.
            size: (height, width) to which images are shrunk after all else; None leaves them.

        Raises:
            OutOfMemory: The batch does not fit; nothing was updated but running statistics of the layers.
            TrainingError: Another worker is lost, or XLA cannot compile the model.
        """
        form = (mix and self._mixing is not None, rate is not None, size)
        graph = self._graphs.get((*form, self.micro_batches)) or self._trace(*form)
        data = (tf.constant(images), tf.constant(targets), tf.constant(weights), tf.constant(rate or 0.0, tf.float32))
        with self._place.watched(), _xla_in_words() if self._jit_compile else nullcontext():
            graph(*data)

    def means(self, *, reset: bool = False) -> dict[str, float]:
        """Return the mean loss and accuracy over the images since the last reset."""
        loss, hits, images = self._sums.numpy().tolist()
        if reset:
            self._sums.assign(tf.zeros(3))
        return {"loss": loss / max(images, 1), "accuracy": hits / max(images, 1)}

    def capture(self) -> list[NDArray[Any]]:
        """Return the values of everything that a step changes: weights, optimizer, random numbers, running means."""
        return [np.array(variable.numpy()) for variable in self._variables()]  # a copy: steps update in place

    def restore(self, values: Sequence[NDArray[Any]]) -> None:
        """Assign values that `capture` returned.

        Raises:
            ValueError: Their number or a shape differs.
        """
        for variable, value in zip(self._variables(), values, strict=True):
            variable.assign(value)
        refresh_normalizations(self._model)

    def _variables(self) -> list[Any]:
        layers = [one for one in (self._augmentation, self._mixing) if one is not None]
        kept = [*self._model.variables, *self._optimizer.variables]
        return [*kept, *(variable for layer in layers for variable in layer.variables), self._sums]

    def _seeds(self) -> list[Any]:
        """Return the random state of layers, which `keras.random.SeedGenerator` gives this name."""
        return [variable for variable in self._variables() if variable.name == "seed_generator_state"]

    def _statistics(self) -> list[Any]:
        """Return what layers update while they compute: the means and variances of normalisations, as a rule."""
        layers = [one for one in self._model._flatten_layers() if not one.trainable]  # noqa: SLF001 - Keras has no public walk
        frozen = {id(variable) for layer in layers for variable in layer.variables}
        kept = [variable for variable in self._model.non_trainable_variables if id(variable) not in frozen]
        return [variable for variable in kept if keras.backend.is_float_dtype(variable.dtype)]

    def _build_layers(self) -> None:
        """Let layers make the variables that they make when they are first called: those are part of the state too.

        They are called with tensors without values, so that no random number is drawn.
        """
        images, targets, weights = (keras.KerasTensor(tuple(one.shape), one.dtype.name) for one in self._signature[:3])
        pixels = keras.KerasTensor(images.shape, "float32")
        self._augmentation = self._place.adopted(self._augmentation, lambda layer: layer(pixels, training=True))
        self._mixing = self._place.adopted(self._mixing, lambda layer: layer(pixels, targets, weights))

    def _trace(self, mix: bool, rated: bool, size: tuple[int, int] | None) -> Any:
        def step(images: Any, targets: Any, weights: Any, rate: Any) -> None:
            self._step(images, targets, weights, rate, mix=mix, rated=rated, size=size)

        # Not a partial: TensorFlow fails to bind its keywords at every call, and words an error with all images in it.
        with self._place.scope(), nullcontext() if size is None else _at_any_size(self._model):
            graph = tf.function(step, input_signature=self._signature, jit_compile=False).get_concrete_function()
        self._graphs[mix, rated, size, self.micro_batches] = graph
        return graph

    def _step(
        self,
        images: Any,
        targets: Any,
        weights: Any,
        rate: Any,
        *,
        mix: bool,
        rated: bool,
        size: tuple[int, int] | None,
    ) -> None:
        if rated:
            self._optimizer.learning_rate.assign(rate)
        learn = partial(self._prepare_and_learn, mix=mix, size=size)
        apply = partial(self._optimizer.apply, trainable_variables=self._model.trainable_variables)
        if self._place.strategy is None:
            count = tf.cast(tf.shape(images)[0], tf.float32)
            loss, hits, gradients = learn((images, targets, weights))
            apply(gradients)
        else:
            loss, hits, count = self._place.spread(
                learn, apply, (images, targets, weights), seeds=self._seeds(), statistics=self._statistics()
            )
        self._sums.assign_add(tf.stack([loss * count, hits, count]))

    def _prepare_and_learn(
        self, batch: Sequence[Any], *, mix: bool, size: tuple[int, int] | None
    ) -> tuple[Any, Any, list[Any]]:
        images, targets, weights = batch
        pixels = tf.cast(images, tf.float32)
        if self._augmentation is not None:
            pixels = tf.cast(self._augmentation(pixels, training=True), tf.float32)
        mixed = self._mixing(pixels, targets, weights) if mix else (pixels, targets, weights)
        if size is not None:
            mixed = (_shrunk(mixed[0], size), *mixed[1:])
        return self._learn(mixed) if self.micro_batches == 1 else self._accumulate(mixed)

    def _loss_and_gradients(self, batch: tuple[Any, Any, Any]) -> tuple[Any, Any, list[Any]]:
        """Return the loss, the number of right predictions and the gradients of a batch."""
        pixels, targets, weights = batch
        with tf.GradientTape() as tape:
            outputs = tf.cast(self._model(pixels, training=True), tf.float32)  # as losses compute, in any policy
            loss = self._loss(targets, outputs, weights)
            if self._model.losses:  # regularisation that layers bring along
                loss += tf.add_n([tf.cast(one, tf.float32) for one in self._model.losses])
            scaled = self._optimizer.scale_loss(loss)  # as its loss_scale_factor says; it divides gradients by it again
        values = [variable.value for variable in self._model.trainable_variables]
        return loss, _hits(targets, outputs, one_label=self._one_label), tape.gradient(scaled, values)

    def _accumulate(self, batch: tuple[Any, Any, Any]) -> tuple[Any, Any, list[Any]]:
        """Do the same part by part, one at a time: the mean over a batch is that of its parts, by their sizes."""
        count = tf.shape(batch[0])[0]
        # Replicas take the same number of parts, so that they draw as many random numbers; a part may then be empty,
        # and is one image that counts for nothing.
        parts = tf.minimum(self.micro_batches, count) if self._place.strategy is None else self.micro_batches
        kinds = [tf.as_dtype(variable.dtype) for variable in self._model.trainable_variables]
        zeros = [
            tf.zeros(variable.shape, kind if kind.size > 4 else tf.float32)  # sums of half precision would lose digits
            for variable, kind in zip(self._model.trainable_variables, kinds, strict=True)
        ]

        def add(index: Any, loss: Any, hits: Any, sums: list[Any]) -> tuple[Any, Any, Any, list[Any]]:
            first, last = index * count // parts, (index + 1) * count // parts
            share = tf.cast(last - first, tf.float32) / tf.cast(count, tf.float32)
            pixels, targets, weights = (one[first : tf.maximum(last, first + 1)] for one in batch)
            one, right, gradients = self._learn((pixels, targets, weights))
            right *= tf.cast(tf.minimum(last - first, 1), tf.float32)
            added = [
                total
                if gradient is None
                else total + tf.cast(share, total.dtype) * tf.cast(tf.convert_to_tensor(gradient), total.dtype)
                for total, gradient in zip(sums, gradients, strict=True)
            ]
            return index + 1, loss + share * one, hits + right, added

        start = (tf.constant(0), tf.constant(0.0), tf.constant(0.0), zeros)
        _, loss, hits, sums = tf.while_loop(
            lambda index, *_: index < parts, add, start, parallel_iterations=1, maximum_iterations=self.micro_batches
        )
        return loss, hits, [tf.cast(total, kind) for total, kind in zip(sums, kinds, strict=True)]


@contextmanager
def _xla_in_words() -> Iterator[None]:
    """Word what TensorFlow raises where XLA cannot compile a model."""
    try:
        yield
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
        if not re.search("xla", str(error), re.IGNORECASE):
            raise
        names = sorted(set(re.findall(r"(\w+) \(No registered", str(error))))
        message = (
            f"jit_compile=True: XLA cannot compile {', '.join(names) or 'an operation'} of this model. Give "
            "jit_compile=False."
        )
        raise TrainingError(message) from error


def _shrunk(images: Any, size: tuple[int, int]) -> Any:
    """Shrink images as `tf.image.resize` does with `antialias`, by two products of matrices: several times as fast."""
    rows, columns = (
        tf.image.resize(tf.eye(before)[:, :, None], (after, before), antialias=True)[..., 0]
        for before, after in zip(images.shape[1:3], size, strict=True)
    )
    return tf.einsum("ah,bw,nhwc->nabc", rows, columns, images)


@contextmanager
def _at_any_size(model: Any) -> Iterator[None]:
    """Let a model of Keras' functional kind take images of other sizes than it was built for: its layers decide."""
    parts = [part for part in model._flatten_layers() if isinstance(part, keras.Model) and part.input_spec]  # noqa: SLF001 - Keras has no public walk
    expected = [part.input_spec for part in parts]
    for part in parts:
        part.input_spec = None
    try:
        yield
    finally:
        for part, inputs in zip(parts, expected, strict=True):
            part.input_spec = inputs


def passed_over(model: Any) -> str | None:
    """Return the name of a method of a model's class that `TrainingStep` never calls, though Keras' own `fit` does."""
    plain = keras.Model
    own = (name for name in ("train_step", "compute_loss") if getattr(type(model), name) is not getattr(plain, name))
    return next(own, None)


def takes(model: Any, size: tuple[int, int]) -> bool:
    """Say whether a model answers images of (height, width), which may not be those that it was built for."""
    pixels = tf.zeros((1, *size, model.input_shape[-1]))
    try:
        with _at_any_size(model):
            return tuple(model(pixels, training=False).shape[1:]) == tuple(model.output_shape[1:])
    except (ValueError, TypeError, tf.errors.OpError):
        return False


def _hits(targets: Any, outputs: Any, *, one_label: bool) -> Any:
    """Count right predictions: the likeliest class; or, for sigmoids, sum over images the share of right outputs.

    Of images that were mixed, the label with the larger share is the right one.
    """
    if not one_label:
        right = tf.equal(outputs >= 0.5, targets >= 0.5)
        return tf.reduce_sum(tf.reduce_mean(tf.cast(right, tf.float32), axis=1))
    codes = targets if targets.shape.rank == 1 else tf.argmax(targets, axis=1)
    right = tf.equal(tf.argmax(outputs, axis=1), tf.cast(codes, tf.int64))
    return tf.reduce_sum(tf.cast(right, tf.float32))


def gpus_with_bfloat16() -> bool:
    """Say whether there are GPUs, all quicker with bfloat16: NVIDIA's from compute capability 8.0, Ampere, on."""
    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return bool(gpus) and all(one.get("compute_capability", (0, 0)) >= (8, 0) for one in details)


def processor_with_bfloat16(information: Path = Path("/proc/cpuinfo")) -> bool:
    """Say whether the processor multiplies bfloat16 by itself: x86-64 with AVX512_BF16, under Linux, by oneDNN.

    Others that may be quicker with it, such as ARM's, were not measured.
    """
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0":  # without oneDNN, TensorFlow goes through float32
        return False
    try:
        return "avx512_bf16" in information.read_text().split()
    except OSError:
        return False


def make_deterministic() -> None:
    """Choose kernels that give the same bits every time, on GPUs too: slower, and for the rest of the process."""
    tf.config.experimental.enable_op_determinism()


def devices() -> dict[str, Any]:
    """Report TensorFlow's version and the devices it sees."""
    return {
        "tensorflow": tf.__version__,
        "built with CUDA": tf.test.is_built_with_cuda(),
        "GPUs": [device.name for device in tf.config.list_physical_devices("GPU")],
    }


def streamed(one_pass: Callable[[], Any], count: int, shape: tuple[int | None, ...], labels: Any = None) -> Any:
    """Return a `tf.data.Dataset` of `count` batches: uint8 images of `shape`, labels of (dtype, shape) or none."""
    images = tf.TensorSpec(shape, tf.uint8)
    signature = images if labels is None else (images, tf.TensorSpec(labels[1], labels[0]))
    made = tf.data.Dataset.from_generator(one_pass, output_signature=signature)
    return made.apply(tf.data.experimental.assert_cardinality(count)).prefetch(2)  # Keras shows and checks it
