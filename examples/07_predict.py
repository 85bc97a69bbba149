# %% [markdown]
# # 7. Predict a new image
#
# Train, save, load, predict. The file holds weights, classes and preprocessing, and no code.

# %%
import tempfile
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from imgcls import Dataset, ImageClassifier
from imgcls.datasets import write_png

training, validation, test = Dataset.builtin("digits").split((0.7, 0.15, 0.15), seed=0)
classifier = ImageClassifier("small_cnn", image_size=16, epochs=5)
classifier.fit(training, validation_data=validation, verbose=0)
folder = Path(tempfile.mkdtemp(prefix="imgcls-predict-"))

# %% [markdown]
# ## Save and load, one line each

# %%
path = classifier.save(folder / "digits.imgcls")
loaded = ImageClassifier.load(path)
print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB")

# %% [markdown]
# ## One new image
# A file that the classifier has never seen.

# %%
write_png(test.read(3), folder / "new.png")
prediction = loaded.predict(folder / "new.png")
print(prediction)
print({name: round(value, 3) for name, value in list(prediction.probabilities.items())[:3]})

# %%
prediction.show()
# figure: The new digit below its predicted label and its confidence.
plt.show()

# %% [markdown]
# ## Many images
# A list, a folder, a glob, an array or a Dataset.

# %%
predictions = loaded.predict(test[:16])
print(predictions)
print(predictions.labels)

# %%
predictions.show(16)
# figure: Sixteen digits, each with its predicted label and confidence.
plt.show()

# %% [markdown]
# `Predictions` work wherever an array of labels is accepted.

# %%
true = np.array([sample.label for sample in test[:16]])
print(np.sum(true == np.asarray(predictions)), "of 16 are right")

# %% [markdown]
# ## Not sure, or not known
# Sets hold the truth as often as they promise; an image that is unlike those that were learnt from is "unknown". Here
# the last image is noise.

# %%
noise = np.random.default_rng(0).integers(0, 256, (8, 8, 1), np.uint8)
print(
    loaded.predict(
        [*(test.read(place) for place in range(8)), noise], abstain=["set", "unknown"], coverage=0.99
    ).answers
)

# %% [markdown]
# The loaded classifier gives the same probabilities as the one that was saved.

# %%
print(bool((loaded.predict_proba(test) == classifier.predict_proba(test)).all()))
