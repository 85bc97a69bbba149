# %% [markdown]
# # 17. Product search: more like this one
#
# A classifier is a search engine too: images that it finds alike have features that point the same way. This example
# draws its own shop, so its figures say nothing about any real one. What it teaches: measure a search by what stands
# among its first k answers, by hand, and also on kinds of products that the classifier has never learnt.

# %%
from collections.abc import Callable

import numpy as np
from matplotlib import pyplot as plt
from PIL import Image, ImageDraw, ImageFilter

from imgcls import Dataset, ImageClassifier, plotting

folder = None  # yours, such as "shop/": one sub-folder for each kind
SIDE, K = 32, 5
LEARNT, LATER = ("bag", "bottle", "cup", "hat", "lamp", "shirt", "shoe", "sock"), ("ball", "chair", "vase")


def draw_product(kind: str, random: np.random.Generator) -> np.ndarray:
    """Draw one product of any colour before any background: its shape alone says what it is."""
    image = Image.new("RGB", (64, 64), tuple(random.integers(40, 256, 3).tolist()))
    pen, color = ImageDraw.Draw(image), tuple(random.integers(0, 256, 3).tolist())
    parts = {
        "bag": [("rectangle", (16, 26, 48, 54)), ("arc", (22, 10, 42, 42), 180, 360)],
        "ball": [("ellipse", (14, 14, 50, 50))],
        "bottle": [("rectangle", (24, 24, 40, 58)), ("rectangle", (29, 8, 35, 24))],
        "chair": [("rectangle", (18, 8, 24, 58)), ("rectangle", (18, 34, 46, 40)), ("rectangle", (40, 34, 46, 58))],
        "cup": [("rectangle", (16, 22, 42, 52)), ("arc", (34, 26, 54, 46), 270, 90)],
        "hat": [("rectangle", (20, 18, 44, 42)), ("rectangle", (8, 42, 56, 48))],
        "lamp": [("polygon", (22, 10, 42, 10, 52, 32, 12, 32)), ("rectangle", (30, 32, 34, 58))],
        "shirt": [("rectangle", (20, 16, 44, 56)), ("polygon", (20, 16, 4, 30, 12, 38, 52, 38, 60, 30, 44, 16))],
        "shoe": [("polygon", (8, 28, 24, 28, 34, 40, 56, 44, 56, 52, 8, 52))],
        "sock": [("polygon", (22, 8, 38, 8, 38, 40, 54, 48, 50, 58, 34, 58, 22, 48))],
        "vase": [("ellipse", (16, 26, 48, 58)), ("polygon", (24, 10, 40, 10, 36, 30, 28, 30))],
    }
    for shape, where, *angles in parts[kind]:
        more = {"width": 4} if shape == "arc" else {}
        getattr(pen, shape)(where, *angles, fill=color, **more)
    back, small = image.getpixel((0, 0)), random.uniform(0.7, 1.0)
    image = image.rotate(random.uniform(-20, 20), translate=tuple(random.integers(-6, 7, 2).tolist()), fillcolor=back)
    image = image.transform((64, 64), Image.Transform.AFFINE, (1 / small, 0, 0, 0, 1 / small, 0), fillcolor=back)
    image = image.filter(ImageFilter.GaussianBlur(random.uniform(0, 1.5))).resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.clip(np.asarray(image) + random.normal(0, 12, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)


def shop(kinds: tuple[str, ...], count: int, random: np.random.Generator) -> Dataset:
    """Draw `count` products of each kind."""
    labels = [kind for _ in range(count) for kind in kinds]
    return Dataset.from_arrays(np.stack([draw_product(kind, random) for kind in labels]), labels)


random = np.random.default_rng(0)
products = Dataset.from_folder(folder) if folder else shop(LEARNT, 120, random)
train, validation, test = products.split((0.6, 0.15, 0.25), seed=0)
print(train)
train.show(24)
# figure: Twenty-four drawn products such as cups, hats and shoes, of any colour before any background.
plt.show()

# %% [markdown]
# ## Learn the kinds
# The search rests on what the classifier has learnt to tell apart: shape here, since colours say nothing.

# %%
classifier = ImageClassifier("speed_cnn", epochs=6).fit(train, validation_data=validation, verbose=0)
evaluation = classifier.evaluate(test)
lower, upper, method = evaluation.intervals["accuracy"]
print(f"accuracy {evaluation.accuracy:.3f} [{lower:.3f}, {upper:.3f}], {method}")

# %% [markdown]
# ## Search
# `similar` gives the nearest of the images that were learnt from; `among=` searches elsewhere.

# %%
wanted = test.read(0)
found = classifier.similar(wanted, K)
print(f"looked for: {test[0].label}; found:", *found.labels)
shown = [wanted, *(train.read(train.ids.index(name)) for name in found)]
plotting.image_grid(shown, ["wanted", *found.labels], columns=K + 1)
# figure: The product that was looked for, and the five found: of the same kind, in other colours.
plt.show()

# %% [markdown]
# ## How good is it? Precision at 5, by hand
# Of the five nearest, the share of the same kind, for every image that is looked for; then the mean. Compare it with a
# search by bare pixels, which finds the same colours.


# %%
def pixels_of(data: Dataset) -> np.ndarray:
    """Return each image as one row of pixels, minus their mean."""
    rows = np.stack([data.read(at, size=(SIDE, SIDE), channels=3).ravel() for at in range(len(data))]).astype(float)
    return rows - rows.mean(axis=1, keepdims=True)


def precision(words: str, asked: Dataset, shelves: list[Dataset], features: Callable[[Dataset], np.ndarray]) -> float:
    """Search the shelves for each image asked for; print and return the mean precision at K, with a 95 % interval."""
    vectors, shelf = features(asked), np.concatenate([features(data) for data in shelves])
    names = np.concatenate([np.array(data.classes)[data.labels] for data in [asked, *shelves]])
    angles = (vectors @ shelf.T) / np.linalg.norm(shelf, axis=1)  # the length of `vectors` changes no order
    nearest = np.argsort(-angles, axis=1)[:, :K]
    shares = np.mean(names[len(asked) :][nearest] == names[: len(asked), None], axis=1)
    again = np.random.default_rng(0).choice(shares, (2_000, len(shares))).mean(axis=1)  # other questions, by chance
    lower, upper = np.quantile(again, [0.025, 0.975])
    print(f"{words:28} precision at {K}: {shares.mean():.3f} [{lower:.3f}, {upper:.3f}]")
    return float(shares.mean())


by_features = precision("features", test, [train], classifier.embed)
by_pixels = precision("pixels", test, [train], pixels_of)

# %% [markdown]
# ## Kinds that came later
# The shop sells balls, chairs and vases now. Nothing is trained: they are embedded once, and found among all others.

# %%
if folder is None:
    later = shop(LATER, 40, random)
    asked, stocked = later[:60], later[60:]
    new_by_features = precision("new kinds, features", asked, [train, stocked], classifier.embed)
    new_by_pixels = precision("new kinds, pixels", asked, [train, stocked], pixels_of)

# %% [markdown]
# Features serve best for the kinds that they were learnt for. Where kinds come and go, take those of a backbone that
# has seen a million photos: [Start from pretrained weights](../docs/how-to/transfer-learning.md).
