# %% [markdown]
# # 1. Load images
#
# Four sources, one result: a `Dataset`. It knows the labels and the classes. It decodes an image when you ask for it.

# %%
import tempfile
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from imgcls import Dataset
from imgcls.datasets import write_png

# %% [markdown]
# ## A well-known set
# The digits ship inside scikit-learn, so nothing is downloaded: 1,797 images of 8 x 8 pixels, 10 classes.

# %%
digits = Dataset.builtin("digits")
print(digits)
print(digits.counts())

# %% [markdown]
# A sample has an image, a label and an id. An image is `uint8 (H, W, C)`, 0-255, always.

# %%
sample = digits[0]
print(sample.image.shape, sample.image.dtype, repr(sample.label), sample.id)

# %%
digits.show(16)
# figure: Sixteen handwritten digits of 8 x 8 pixels, each below its label.
plt.show()

# %% [markdown]
# ## A folder with one sub-folder for each class
# We write 300 digits as PNG files, then read the folder.

# %%
folder = Path(tempfile.mkdtemp(prefix="imgcls-digits-"))
for one in digits[:300]:
    (folder / one.label).mkdir(exist_ok=True)
    write_png(one.image, folder / one.label / f"{one.id}.png")

from_folder = Dataset.from_folder(folder)
print(from_folder)
print(from_folder.counts())
print("first id:", from_folder.ids[0])
print("ignored:", dict(from_folder.ignored))

# %% [markdown]
# ## A CSV file with one row for each image
# Paths are relative to the CSV file.

# %%
rows = [f"{name},{name.split('/')[0]}" for name in from_folder.ids]
(folder / "labels.csv").write_text("\n".join(["image,label", *rows]))
print((folder / "labels.csv").read_text()[:52])

from_csv = Dataset.from_csv(folder / "labels.csv", classes=list("0123456789"))
print(from_csv)

# %% [markdown]
# Labels in a table are often numbers: pandas reads `7`, not `"7"`. With `classes=` the names are yours and a number
# is a position among them.

# %% [markdown]
# ## Arrays in memory

# %%
images = np.stack([one.image for one in digits[:300]])
labels = [one.label for one in digits[:300]]
from_arrays = Dataset.from_arrays(images, labels)
print(images.shape, images.dtype)
print(from_arrays)

# %% [markdown]
# ## Divide
# Each image is dealt by chance, and each part has at least one of each class, as far as they go. The same seed gives
# the same parts, on every machine, because the content of an image decides its place.

# %%
training, validation, test = digits.split((0.7, 0.15, 0.15), seed=0)
print(len(training), len(validation), len(test))
print(test.counts())
