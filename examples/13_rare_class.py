# %% [markdown]
# # 13. A rare class, and what accuracy hides
#
# Twenty-five moths of one kind come to the lamp for each one of another, and the rare one is why you look. This example
# draws its own moths, so its figures say nothing about real ones. What it teaches: accuracy counts images, and hides a
# class that is never found; the means over classes do not.

# %%
import numpy as np
from matplotlib import pyplot as plt
from PIL import Image, ImageDraw, ImageFilter

from imgcls import Dataset, ImageClassifier

folder = None  # yours, such as "moths/": one sub-folder for each class
CAUGHT = {"plain": 1_000, "spotted": 200, "banded": 40}


def draw_moth(name: str, random: np.random.Generator) -> np.ndarray:
    """Draw a brown moth on bark; spots and bands are faint, and every wing is a little different."""
    bark = random.integers(60, 140)
    image = Image.new("RGB", (64, 64), (int(bark), int(bark * 0.85), int(bark * 0.7)))
    pen, brown = ImageDraw.Draw(image), random.integers(120, 190)
    wing, dark = (
        tuple((np.array([1.0, 0.8, 0.55]) * shade).astype(int).tolist())
        for shade in (brown, brown * random.uniform(0.4, 0.9))
    )
    pen.polygon([(32, 20), (4, 14), (12, 46), (32, 40), (52, 46), (60, 14)], wing)
    pen.ellipse([29, 16, 35, 46], dark)
    for side in (-1, 1):
        if name == "spotted":
            x, y = 32 + side * random.uniform(13, 19), random.uniform(22, 34)
            pen.ellipse([x - 4, y - 4, x + 4, y + 4], dark)
        if name == "banded":
            x = 32 + side * random.uniform(13, 19)
            pen.line([x, 18, x - side * 4, 42], dark, 4)
    image = image.rotate(random.uniform(-40, 40), fillcolor=image.getpixel((0, 0)))
    image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.5, 2))).resize((32, 32), Image.Resampling.BOX)
    return np.clip(np.asarray(image) + random.normal(0, 14, (32, 32, 3)), 0, 255).astype(np.uint8)


if folder:
    moths = Dataset.from_folder(folder)
else:
    random = np.random.default_rng(0)
    labels = [name for name, count in CAUGHT.items() for _ in range(count)]
    moths = Dataset.from_arrays(np.stack([draw_moth(name, random) for name in labels]), labels)
print(moths.counts())
moths[np.linspace(0, len(moths) - 1, 18).astype(int)].show(18)
# figure: Eighteen drawn moths on bark, most of them plain, some with a spot or a band on each wing.
plt.show()

# %% [markdown]
# ## Check and divide
# Each part has its share of every class as closely as chance does, and at least one image of each, as far as they go.

# %%
for finding in moths.check(verbose=0).findings:
    print(finding)
train, validation, test = moths.split((0.4, 0.2, 0.4), seed=0)
print("to be found again:", test.counts())

# %% [markdown]
# ## What accuracy hides
# As the classes are so unequal, the means over classes come first by themselves. Recall of each class says why.

# %%
common = max(test.counts().values()) / len(test)
print(f"always saying the commonest class: {common:.1%} right")

plain = ImageClassifier("speed_cnn", image_size=24, epochs=5).fit(train, validation_data=validation, verbose=0)
as_it_is = plain.evaluate(test)
print(as_it_is)

# %% [markdown]
# ## Let each class count alike
# `class_weight="balanced"` weighs an image by the inverse of its class's count, in the loss alone.

# %%
weighted = ImageClassifier("speed_cnn", image_size=24, epochs=5, class_weight="balanced")
weighted.fit(train, validation_data=validation, verbose=0)
balanced = weighted.evaluate(test)
for name in moths.classes:
    for words, evaluation in (("as it is", as_it_is), ("balanced", balanced)):
        lower, upper = evaluation.per_class_intervals[name]["recall"]
        print(f"{name:8} {words}: recall {evaluation.per_class[name]['recall']:.2f} [{lower:.2f}, {upper:.2f}]")

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
as_it_is.plot(normalize=True, ax=axes[0])
balanced.plot(normalize=True, ax=axes[1])
axes[0].set_title(f"as it is: accuracy {as_it_is.accuracy:.3f}")
axes[1].set_title(f"balanced: accuracy {balanced.accuracy:.3f}")
# figure: Two confusion matrices. Without weights the rare class is missed most; with weights more of it is found.
plt.show()

# %% [markdown]
# ## Is it better?
# Look whether the intervals overlap: so few rare moths say little, and no weight replaces photos of more of them.
# Weighted probabilities are no longer the shares at the lamp: where you set thresholds or costs, as in
# [screening](10_screening.py), leave the weights alone.

# %%
for words, evaluation in (("as it is", as_it_is), ("balanced", balanced)):
    lower, upper, _ = evaluation.intervals["balanced_accuracy"]
    print(f"{words}: balanced accuracy {evaluation.balanced_accuracy:.3f} [{lower:.3f}, {upper:.3f}]")
