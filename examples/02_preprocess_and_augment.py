# %% [markdown]
# # 2. Preprocess and augment
#
# Preprocessing is part of the saved model: training and predicting cannot differ. Augmentation happens in training
# only and is never saved. Outside the model an image is `uint8`, 0-255: you never divide by 255.

# %%
import numpy as np
from matplotlib import pyplot as plt

from imgcls import Dataset, transforms
from imgcls.datasets import resize
from imgcls.plotting import image_grid

digits = Dataset.builtin("digits")

# %% [markdown]
# ## Read and resize
# One decoder and one resize serve every room. Resizing is bilinear and antialiased.

# %%
small = digits.read(0)
large = resize(small, (48, 48))
rgb = digits.read(0, channels=3)
print(small.shape, large.shape, rgb.shape)
image_grid([small, large], ["8 x 8", "48 x 48"])
# figure: One digit twice: 8 x 8 pixels, and resized to 48 x 48, where edges are smooth.
plt.show()

# %% [markdown]
# ## Normalise
# `normalization` measures mean and deviation of the training images; `preprocessing` makes layers of them, which stand
# at the front of the model.

# %%
batch = np.stack([resize(one.image, (48, 48)) for one in digits[:64]])
for name in transforms.NORMALIZATIONS:
    mean, std = transforms.normalization(name, batch)
    pixels = batch.astype("float32")
    for layer in transforms.preprocessing(mean=mean, std=std):
        pixels = layer(pixels)
    pixels = np.asarray(pixels)
    print(f"{name:10}  mean {mean[0]:5.1f}  std {std[0]:5.1f}  gives {pixels.min():5.2f} to {pixels.max():5.2f}")

# %% [markdown]
# ## Augment
# A policy is a name. Flips would turn a 2 into something else, so `light` has none: it suits digits and letters.

# %%
for name in transforms.names():
    print(f"{name:10}", transforms.describe(name))

# %% [markdown]
# One image, seven random versions of it. Random numbers follow from the seed.


# %%
def augmented(image: np.ndarray, policy: str, copies: int = 7) -> list[np.ndarray]:
    """Return the image and some random versions of it."""
    layer = transforms.augmentation(policy, seed=1)
    random = np.asarray(layer(np.stack([image] * copies).astype("float32"), training=True))
    return [image, *random.round().clip(0, 255).astype(np.uint8)]


seven = resize(digits.read(7), (48, 48))
for policy in ("light", "standard"):
    image_grid(augmented(seven, policy), [policy, *[""] * 7], columns=8)
# figure: A seven, and seven versions of it by the policy light: turned, moved, never mirrored.
# figure: The same seven by the policy standard: some versions are mirrored, which no longer is a seven.
plt.show()

# %% [markdown]
# ## Your own augmentation
# Any Keras layer from float32 images 0-255 to the same will do: pass it as `ImageClassifier(augmentation=layer)`.

# %%
warp = transforms.RandomWarp(rotation=15, zoom=0.2, translation=0.1, fill_mode="constant", seed=0)
tone = transforms.RandomTone(contrast=0.3, brightness=0.2, seed=0)
print(np.asarray(tone(warp(batch[:4].astype("float32"), training=True), training=True)).shape)
