"""The tasks of `leaderboard.py` in plain Keras, as one would write it: a textbook CNN, `keras.Model.fit`.

    python benchmarks/plain_keras.py mnist --path mnist.npz --save mnist.keras --options '{"epochs": 2}'

`fit` gets its best case: uint8 arrays in memory, XLA off, which is slower on a CPU, no validation on the way, and a
rate that rises and falls to 0. With "architecture" among the options it trains imgcls' own network with imgcls' own
optimizer, so that only the loop differs.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray
from plain_data import arguments, read, report, timed


def textbook(shape: tuple[int, int, int], classes: int, *, filters: tuple[int, ...]) -> keras.Model:
    """Build blocks of two convolutions 3x3, normalisation, ReLU and pooling, then dropout and a dense layer."""
    model = keras.Sequential([keras.Input(shape), layers.Rescaling(1 / 127.5, -1)])
    for width in filters:
        for _ in range(2):
            model.add(layers.Conv2D(width, 3, padding="same", use_bias=False))
            model.add(layers.BatchNormalization(momentum=0.9))
            model.add(layers.ReLU())
        model.add(layers.MaxPooling2D())
    for layer in (layers.GlobalAveragePooling2D(), layers.Dropout(0.2), layers.Dense(classes, activation="softmax")):
        model.add(layer)
    return model


def fit(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    filters: tuple[int, ...] = (32, 64),
    epochs: int,
    flip: bool = False,
    seed: int,
    batch_size: int = 64,
    peak: float = 4e-3,
) -> keras.Model:
    """Train the textbook CNN with AdamW; `flip` adds random mirror images and shifts."""
    keras.utils.set_random_seed(seed)
    model = textbook(images.shape[1:], int(labels.max()) + 1, filters=filters)
    if flip:
        random = [layers.RandomFlip("horizontal"), layers.RandomTranslation(1 / 16, 1 / 16)]
        model = keras.Sequential([keras.Input(images.shape[1:]), *random, *model.layers])
    _compile_and_fit(model, keras.optimizers.AdamW(peak), images, labels, epochs=epochs, batch_size=batch_size)
    return model


def fit_same(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    architecture: str,
    epochs: int,
    seed: int,
    batch_size: int = 64,
) -> keras.Model:
    """Train imgcls' own network with its optimizer, by `keras.Model.fit`."""
    from imgcls import architectures
    from imgcls.trainer import Muon

    keras.utils.set_random_seed(seed)
    look = images[:: max(1, len(images) // 256)]
    model = architectures.build(
        architecture,
        input_shape=images.shape[1:],
        num_classes=int(labels.max()) + 1,
        mean=look.mean(axis=(0, 1, 2)).tolist(),
        std=look.std(axis=(0, 1, 2)).tolist(),
        seed=seed,
    )
    architectures.whiten(model, look)
    _compile_and_fit(model, Muon(0.02, weight_decay=0.01), images, labels, epochs=epochs, batch_size=batch_size)
    return model


def _compile_and_fit(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    epochs: int,
    batch_size: int,
) -> None:
    peak, steps = float(optimizer.learning_rate), epochs * -(-len(images) // batch_size)

    class Linear(keras.callbacks.Callback):  # type: ignore[misc]  # Keras publishes no types
        """Lets the rate rise over the first tenth of training and fall to 0."""

        done = 0

        def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
            del batch, logs
            progress = self.done / steps
            self.model.optimizer.learning_rate = peak * min(0.04 + 9.6 * progress, (1 - progress) / 0.9)
            self.done += 1

    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    model.fit(images, labels, batch_size=batch_size, epochs=epochs, callbacks=[Linear()], verbose=0)


def main() -> None:
    """Read, train, save, and print what it took."""
    given, marks = arguments(__doc__), dict[str, float]()
    with timed(marks, "reading"):
        train, test = read(given.data, given.path)
    with timed(marks, "fit"):
        model = (fit_same if "architecture" in given.options else fit)(*train, **given.options, seed=given.seed)
    model.save(given.save)
    report(marks, lambda: float(np.mean(model.predict(test[0], batch_size=500, verbose=0).argmax(axis=1) == test[1])))


if __name__ == "__main__":
    main()
