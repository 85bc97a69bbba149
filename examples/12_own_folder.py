# %% [markdown]
# # 12. Your own folder, with all that is wrong in it
#
# Real folders hold files that are no images, copies, two names for one class, and labels that contradict each other.
# This example draws a folder of fruit and spoils it on purpose; with a path in `folder` it looks at yours. Its accuracy
# says nothing about fruit. What it teaches: look first, decide yourself what is wrong, and keep your decision in a
# table.

# %%
import tempfile
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from PIL import Image, ImageDraw, ImageFilter

from imgcls import Dataset, ImageClassifier

folder = None  # yours, such as "photos/": one sub-folder for each class
FRUIT = {"apple": (190, 45, 40), "lemon": (225, 200, 60), "pear": (165, 185, 70)}


def draw_fruit(name: str, random: np.random.Generator) -> Image.Image:
    """Draw one fruit of its colour on a cloth, a little turned and blurred."""
    image = Image.new("RGB", (96, 96), tuple(random.integers(60, 240, 3).tolist()))
    pen, size = ImageDraw.Draw(image), random.integers(24, 34)
    color = tuple((np.array(FRUIT[name]) + random.integers(-35, 36, 3)).clip(0, 255).tolist())
    wide = {"apple": 1.0, "lemon": 1.3, "pear": 0.85}[name] * size
    pen.ellipse([48 - wide, 52 - size, 48 + wide, 52 + size], color)
    if name == "pear":
        pen.ellipse([48 - size / 2, 36 - size, 48 + size / 2, 52], color)
    else:
        pen.line([48, 52 - size, 54, 40 - size], (80, 50, 30), 4)
    image = image.rotate(random.uniform(-50, 50), fillcolor=image.getpixel((0, 0)))
    pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(random.uniform(0, 2)))) * random.uniform(0.5, 1.1)
    return Image.fromarray(np.clip(pixels + random.normal(0, 20, pixels.shape), 0, 255).astype(np.uint8))


def draw_folder() -> Path:
    """Draw 80 images of each fruit into a new folder, and spoil some of them as real folders are spoilt."""
    random, made = np.random.default_rng(0), Path(tempfile.mkdtemp(prefix="imgcls-fruit-"))
    for name in FRUIT:
        for index in range(80):
            place = made / ("Pear " if name == "pear" and index >= 60 else name)  # two people, two spellings
            place.mkdir(exist_ok=True)
            draw_fruit(name, random).save(place / f"{index:02d}.jpg")
    (made / "apple/00.jpg").write_bytes(b"")  # the disk was full
    (made / "lemon/01.jpg").write_text("<html>404 Not Found</html>")  # the download failed
    (made / "pear/02.jpg").write_bytes((made / "pear/02.jpg").read_bytes()[:700])  # and broke off
    (made / "lemon/03 (1).jpg").write_bytes((made / "lemon/03.jpg").read_bytes())  # copied twice
    Image.open(made / "apple/04.jpg").resize((64, 64)).save(made / "apple/04 small.jpg")
    (made / "pear/05.jpg").write_bytes((made / "lemon/05.jpg").read_bytes())  # one picture, two labels
    Image.new("RGB", (96, 96), "black").save(made / "pear/06.jpg")  # the cap was on the lens
    (made / "notes.txt").write_text("ask Rosa about the pears")
    return made


folder = Path(folder) if folder else draw_folder()

# %% [markdown]
# ## Look
# `check` decodes every image once. Nothing is changed or moved.

# %%
found = Dataset.from_folder(folder)
report = found.check(verbose=0)
print(report)

# %% [markdown]
# A finding is a reason to look. Here is what contradicts itself: one picture is called a lemon and a pear.

# %%
clash = np.isin(found.ids, report.ids("IMG012"))
if clash.any():
    found[clash].show()
# figure: The same picture of a lemon twice; one is labelled lemon and the other one pear.
plt.show()

# %% [markdown]
# ## Decide
# Leave out what cannot be read, is blank, or has two labels. Copies with one label may stay: `split` keeps them in one
# part. And the two spellings become one class. No file is touched: the decision stands in these lines.

# %%
wrong = [name for code in ("IMG001", "IMG002", "IMG012", "IMG034") for name in report.ids(code)]
named = Dataset.from_files(folder, lambda path: path.parent.name.strip().lower())
clean = named[~np.isin(named.ids, wrong)]
print(f"{len(wrong)} of {len(found)} images are left out:", *sorted(set(wrong)))
print(clean.counts())

# %% [markdown]
# ## Keep the decision
# A table says which images count, and as what. Colleagues correct it without moving files. Its paths are relative to
# `root`, or where that is left out, to the folder of the table.

# %%
rows = [f"{sample_id},{clean.classes[code]}" for sample_id, code in zip(clean.ids, clean.labels, strict=True)]
table = Path(tempfile.mkdtemp(prefix="imgcls-table-")) / "labels.csv"
table.write_text("\n".join(["image,label", *rows]))
data = Dataset.from_csv(table, root=folder)
print(data)

# %% [markdown]
# ## Train and evaluate
# What is left is learnt as any other dataset.

# %%
train, validation, test = data.split((0.5, 0.2, 0.3), seed=0)
classifier = ImageClassifier("small_cnn", image_size=32, epochs=12).fit(train, validation_data=validation, verbose=0)
evaluation = classifier.evaluate(test)
print(evaluation)
print(evaluation.leaks())

# %%
evaluation.show(range(12))
# figure: Twelve drawn fruits of the test images, each with its true or, where wrong, its predicted label.
plt.show()

# %% [markdown]
# [Check images before training](../docs/how-to/check-data.md) has the rest: a page to share, and test sets that lie
# elsewhere. [Read a table](../docs/how-to/csv.md) has groups and parts.
