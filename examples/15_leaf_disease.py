# %% [markdown]
# # 15. Leaf disease: copies leak
#
# Many sets of leaves hold each photo several times: mirrored, smaller, turned, to make them larger. Dealt by chance,
# the test is a test of memory. This example draws its own leaves, so its figures say nothing about any crop. What it
# teaches: which copies imgcls keeps together by itself, and which ones you have to name.

# %%
import numpy as np
from matplotlib import pyplot as plt
from PIL import Image, ImageDraw, ImageFilter

from imgcls import Dataset, ImageClassifier
from imgcls.plotting import image_grid

folder = None  # yours, such as "leaves/": class folders with files such as "leaf 07, mirrored.jpg"
DISEASES, SIDE = ("blast", "blight", "brown spot"), 64


def draw_leaf(disease: str, random: np.random.Generator) -> np.ndarray:
    """Draw one leaf on some ground: no two have the same green, width, light and angle."""
    image = Image.new("RGB", (128, 128), tuple(random.integers(90, 220, 3).tolist()))
    pen, green = ImageDraw.Draw(image), np.array([90, 150, 60]) + random.integers(-35, 36, 3)
    width = random.uniform(24, 44)
    pen.ellipse([4, 64 - width, 124, 64 + width], tuple(green.tolist()))
    pen.line([4, 64, 124, 64], tuple((green + 35).tolist()), 3)
    for _ in range(random.integers(3, 9)):
        x, y, size = random.uniform(25, 103), 64 + random.uniform(-0.6, 0.6) * width, random.uniform(4, 9)
        if disease == "blight":  # pale streaks
            pen.line([x - 2 * size, y, x + 2 * size, y], (205, 190, 120), int(size))
        elif disease == "blast":  # diamonds with a gray middle
            pen.polygon([(x - 2 * size, y), (x, y - size), (x + 2 * size, y), (x, y + size)], (140, 100, 50))
            pen.circle((x, y), size / 2, (190, 185, 170))
        else:
            pen.circle((x, y), size, (110, 70, 35))
    image = image.rotate(random.uniform(0, 360), fillcolor=image.getpixel((0, 0)))
    image = image.filter(ImageFilter.GaussianBlur(random.uniform(1, 4))).resize((SIDE, SIDE), Image.Resampling.BOX)
    pixels = np.asarray(image) * random.uniform(0.6, 1.1) + random.normal(0, 14, (SIDE, SIDE, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def copies_of(leaf: np.ndarray) -> dict[str, np.ndarray]:
    """Return what such sets hold of one photo."""
    small = np.asarray(Image.fromarray(leaf).resize((56, 56)))
    turned = {f"turned {90 * quarters}": np.rot90(leaf, quarters).copy() for quarters in (1, 3)}
    return {"photo": leaf, "mirrored": leaf[:, ::-1].copy(), "small": small, **turned}


random = np.random.default_rng(0)
if folder:
    leaves = Dataset.from_folder(folder)
else:
    drawn = {f"leaf {number:02d}": draw_leaf(DISEASES[number % 3], random) for number in range(90)}
    copies = {f"{name}, {kind}": copy for name, leaf in drawn.items() for kind, copy in copies_of(leaf).items()}
    labels = [DISEASES[int(name[5:7]) % 3] for name in copies]
    leaves = Dataset.from_arrays(list(copies.values()), labels, ids=list(copies))
print(leaves)
image_grid([leaves.read(at) for at in range(10)], leaves.ids[:10], columns=5)
# figure: Two drawn leaves with spots and streaks, each five times: as it is, mirrored, smaller and turned twice.
plt.show()

# %% [markdown]
# ## Check
# `check` finds mirrored, smaller and newly encoded copies by their looks. It misses some, and it does not look for
# turned ones.

# %%
for finding in leaves.check(verbose=0).findings:
    print(finding)

# %% [markdown]
# ## Divide in three ways
# By chance; as `split` does it, with the copies that it finds in one part; and with the leaf named as a group, which is
# what the file's name knows.

# %%
leaf_of = [name.rpartition("/")[2].partition(",")[0] for name in leaves.ids]
ways = {
    "by chance": leaves.split((0.7, 0.3), duplicates=None),
    "copies kept together": leaves.split((0.7, 0.3)),
    "leaves kept together": leaves.split((0.7, 0.3), groups=leaf_of),
}
classifiers, evaluations = {}, {}
for words, (train, test) in ways.items():
    classifiers[words] = ImageClassifier("small_cnn", image_size=32, epochs=12).fit(train, verbose=0)
    evaluations[words] = classifiers[words].evaluate(test)
    lower, upper, _ = evaluations[words].intervals["accuracy"]
    print(f"{words:21} accuracy {evaluations[words].accuracy:.3f} [{lower:.3f}, {upper:.3f}]")

# %% [markdown]
# ## Who told the truth?
# We can draw leaves that nobody has seen. The first classifier, which looked best, meets them:

# %%
if folder is None:
    new_labels = [DISEASES[number % 3] for number in range(300)]
    new_leaves = Dataset.from_arrays(np.stack([draw_leaf(name, random) for name in new_labels]), new_labels)
    truth = classifiers["by chance"].evaluate(new_leaves)
    lower, upper, _ = truth.intervals["accuracy"]
    print(f"new leaves, learnt from the split by chance: {truth.accuracy:.3f} [{lower:.3f}, {upper:.3f}]")

# %%
found = evaluations["by chance"].leaks()
print(f"{len(found.ids)} of {found.images} test images are copies of images that were learnt from")

# %% [markdown]
# Copies are no photos: ninety leaves are ninety leaves. Photograph more of them, and let `augmentation` do the turning
# while training. [Divide so that nothing leaks](../docs/how-to/split.md) says what is promised.
