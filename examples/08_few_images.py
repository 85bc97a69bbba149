# %% [markdown]
# # 8. Learn from few images
#
# A network that has seen many images needs few of yours. With an internet connection you would write
# `ImageClassifier("mobilenet_v2")`, and Keras would fetch weights that were learnt from a million photos. This example
# makes its own: a small network first sees the digits 0 to 4, and then meets the digits 5 to 9, five images of each.

# %%
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from imgcls import Dataset, ImageClassifier

digits = Dataset.builtin("digits")
codes = np.asarray(digits.labels)


def only(wanted: Iterable[int], positions: Iterable[int]) -> Dataset:
    """Return the digits at these positions whose class is wanted, as a dataset of those classes."""
    chosen = [position for position in positions if codes[position] in wanted]
    images = np.stack([digits.read(position) for position in chosen])
    return Dataset.from_arrays(images, [str(codes[position]) for position in chosen])


# %% [markdown]
# ## Learn features from many images

# %%
everything = range(len(digits))
pretrained = ImageClassifier("small_cnn", image_size=16, epochs=8).fit(only(range(5), everything), verbose=0)
weights = Path(tempfile.mkdtemp(prefix="imgcls-weights-")) / "seen-0-to-4.weights.h5"
pretrained.model_.save_weights(weights)

# %% [markdown]
# ## Meet new classes, five images each

# %%
random = np.random.default_rng(0)
few = [position for code in range(5, 10) for position in random.choice(np.flatnonzero(codes == code), 5, replace=False)]
training, test = only(range(5, 10), few), only(range(5, 10), sorted(set(everything) - set(few)))
print(training)
training.show(25)
# figure: All that is learnt from: five images of each of the digits 5 to 9.
plt.show()

# %% [markdown]
# Each image goes through the network once. Then the best head for its features is solved, and its penalty is chosen on
# images held out: there are no steps, so there is nothing to tune.

# %%
classifier = ImageClassifier("small_cnn", image_size=16, weights=weights).fit(training, verbose=0)
print(classifier.choices_["head"])
print(classifier.history_)
transferred = classifier.evaluate(test)
print(f"{transferred.accuracy:.1%} right of {len(test):,} images never seen")

# %% [markdown]
# The same network from random numbers, trained step by step on the same 25 images, with augmentation:

# %%
scratch = ImageClassifier("small_cnn", image_size=16, weights=None, epochs=40).fit(training, verbose=0)
from_nothing = scratch.evaluate(test)
print(f"{from_nothing.accuracy:.1%} right")

# %% [markdown]
# Digits are that easy, and five of them teach a network less than a million photos would. So compare, on images put
# aside, as here. [Why probing first](../docs/concepts/probing.md) has figures for photos.

# %% [markdown]
# ## Which images look like this one?
# The features are good for searching too: the five nearest of the training images, by the angle between features.

# %%
image = test.read(0)
found = classifier.similar(image, 5)
print(f"looked for a {test[0].label}, found", *found.labels)
found.show()
# figure: The five training images most like the one looked for, each with its similarity.
plt.show()

# %% [markdown]
# ## What would more images bring?
# `forecast` solves heads on a quarter, a half and all of the images, and draws the curve on. It trains nothing.

# %%
more = only(range(5, 10), random.permutation(len(digits))[:600])
print(ImageClassifier("small_cnn", image_size=16, weights=weights).forecast(more, verbose=0))
