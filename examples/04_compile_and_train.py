# %% [markdown]
# # 4. Compile and train
#
# `trainer.train` trains a model that you built; `ImageClassifier.fit` builds it too, and remembers classes and
# preprocessing.

# %%
import keras
from matplotlib import pyplot as plt

from imgcls import Dataset, ImageClassifier, architectures, trainer, transforms

training, validation, test = Dataset.builtin("digits").split((0.7, 0.15, 0.15), seed=0)

# %% [markdown]
# ## A model of yours: `trainer.train`
# Optimizers, losses and callbacks are Keras's own. `patience` stops early: after so many epochs without a lower
# `val_loss`, the best weights are restored.


# %%
class Announce(keras.callbacks.Callback):
    """Say each epoch's accuracy. Any Keras callback works."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Print one line."""
        print(f"epoch {epoch + 1}: val_accuracy {(logs or {})['val_accuracy']:.3f}")


model = architectures.build("small_cnn", input_shape=(16, 16, 1), num_classes=10, seed=0)
history = trainer.train(
    model,
    training,
    validation_data=validation,
    optimizer=keras.optimizers.Adam(learning_rate=0.003),
    loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.05),
    epochs=8,
    batch_size=32,
    augmentation=transforms.augmentation("light"),
    patience=3,
    callbacks=[Announce()],
    verbose=0,
)
print(history)
print("weights of epoch", history.best_epoch)

# %% [markdown]
# ## From images to a classifier: `ImageClassifier.fit`
# "auto" is a value. What was chosen, and why, is in `choices_`.

# %%
classifier = ImageClassifier("small_cnn", optimizer="adamw", loss="auto", epochs=8, patience=3, seed=0)
classifier.fit(training, validation_data=validation, verbose=0)
for name, choice in classifier.choices_.items():
    print(f"{name:14} {choice.value!s:10} {choice.reason}")

# %%
print(classifier.history_)
classifier.history_.plot()
# figure: Loss falls and accuracy rises over eight epochs; a dotted line marks the epoch whose weights were kept.
plt.show()

# %%
print(f"accuracy on the test images: {classifier.score(test):.3f}")
