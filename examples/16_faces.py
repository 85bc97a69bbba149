# %% [markdown]
# # 16. Faces, and strangers
#
# A classifier that knows ten people gives one of ten names to everybody, strangers too, unless it may say "unknown".
# This example draws its own faces, so its figures say nothing about real ones. What it teaches: a list of names is
# never complete, so ask for "unknown", and measure it on people who are not on the list.
#
# **Before you do this with people.** A face is biometric data: in the European Union it may be used to identify
# somebody only with explicit consent or on another narrow legal ground (GDPR, Article 9); some uses are forbidden (AI
# Act, Article 5), and other places have laws of their own. Ask first, keep no more than you need, and let people leave.
# Face recognition errs more often for some groups than for others (NIST, NISTIR 8280, 2019): measure each group, with
# `evaluation.slices`. Let no such answer alone decide about anybody.

# %%
import numpy as np
from matplotlib import pyplot as plt
from PIL import Image, ImageDraw, ImageFilter

from imgcls import Dataset, ImageClassifier
from imgcls.plotting import image_grid

folder = None  # yours, such as "people/": one sub-folder for each person who has agreed
PEOPLE, STRANGERS, PICTURES, SIDE = 10, 5, 40, 32


def draw_face(person: int, random: np.random.Generator) -> np.ndarray:
    """Draw a picture of a person: face, hair and glasses are theirs; smile, place, angle and light are not."""
    own = np.random.default_rng(1_000 + person)  # what does not change from picture to picture
    skin = tuple((np.array([235, 190, 160]) * own.uniform(0.5, 1.05)).astype(int).tolist())
    hair, wide, long = tuple(own.integers(10, 230, 3).tolist()), own.uniform(19, 27), own.uniform(26, 33)
    apart, eyes, parting, glasses = own.uniform(7, 13), own.uniform(2, 4), own.uniform(10, 30), own.random() < 0.4
    image = Image.new("RGB", (96, 96), tuple(random.integers(170, 210, 3).tolist()))
    pen, x, y = ImageDraw.Draw(image), 48 + random.uniform(-4, 4), 52 + random.uniform(-4, 4)
    pen.ellipse([x - wide - 5, y - long - 7, x + wide + 5, y + (long if own.random() < 0.5 else 0)], hair)
    pen.ellipse([x - wide, y - long, x + wide, y + long], skin)
    pen.chord([x - wide, y - long, x + wide, y + long], 180 + parting, 360 - parting, hair)
    for side in (-1, 1):
        pen.circle((x + side * apart, y - 4), eyes + 2, "white")
        pen.circle((x + side * apart, y - 4), eyes, "black")
        if glasses:
            pen.circle((x + side * apart, y - 4), 7, outline="black", width=2)
    smile = random.uniform(2, 9)
    pen.arc([x - 10, y + 10 - smile, x + 10, y + 12 + smile], 20, 160, (120, 30, 40), 3)
    image = image.rotate(random.uniform(-12, 12), fillcolor=image.getpixel((0, 0)))
    image = image.filter(ImageFilter.GaussianBlur(random.uniform(0, 2))).resize((SIDE, SIDE), Image.Resampling.BOX)
    pixels = np.asarray(image) * random.uniform(0.8, 1.1) + random.normal(0, 6, (SIDE, SIDE, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def pictures_of(people: range, random: np.random.Generator) -> Dataset:
    """Draw a dataset of these people."""
    names = [f"person {person:02d}" for person in people for _ in range(PICTURES)]
    return Dataset.from_arrays(np.stack([draw_face(int(name[-2:]), random) for name in names]), names)


random = np.random.default_rng(0)
everybody = Dataset.from_folder(folder) if folder else pictures_of(range(PEOPLE + STRANGERS), random)
listed = np.asarray(everybody.labels) < len(everybody.classes) * 2 // 3
known, strangers = everybody[listed].align(everybody.classes[: len(everybody.classes) * 2 // 3]), everybody[~listed]
print(known)
print(f"{len(strangers)} pictures of people who are not on the list")
image_grid([known.read(at) for at in np.linspace(0, len(known) - 1, 30).astype(int)], columns=10)
# figure: Thirty drawn faces, three pictures of each person on the list: light, angle and smile differ.
plt.show()

# %% [markdown]
# ## Check, divide, learn
# What "unknown" means is set by images held out, so some hundred of them are worth more than a longer training.

# %%
print(known.check(verbose=0).findings or "nothing to find fault with")
train, validation, test = known.split((0.5, 0.3, 0.2), seed=0)
classifier = ImageClassifier("small_cnn", augmentation="shift", epochs=20, batch_size=16, patience=None)
classifier.fit(train, validation_data=validation, verbose=0)
evaluation = classifier.evaluate(test)
lower, upper, method = evaluation.intervals["accuracy"]
print(f"people on the list: accuracy {evaluation.accuracy:.3f} [{lower:.3f}, {upper:.3f}], {method}")

# %% [markdown]
# ## Everybody gets a name
# Without `abstain` a stranger is somebody on the list, and often with confidence.

# %%
named = classifier.predict(strangers)
print(
    f"strangers whose name is given with a confidence above 0.9: {np.mean(named.probabilities.max(axis=1) > 0.9):.0%}"
)

# %% [markdown]
# ## Unless it may say "unknown"
# Of people on the list, at most 5 % are called unknown, on average. Nothing is promised of strangers: so measure it.

# %%
familiar, unfamiliar = (classifier.predict(images, abstain="unknown") for images in (test, strangers))
print(f"called unknown: {np.mean(familiar.unknown):.0%} of pictures of people on the list")
print(f"called unknown: {np.mean(unfamiliar.unknown):.0%} of pictures of strangers")

# %%
unfamiliar[:: len(strangers) // 10].show(10)
# figure: Ten pictures of strangers; most of the answers above them are "unknown", some are a wrong name.
plt.show()

# %% [markdown]
# Strangers who look like somebody on the list keep that name. If a wrong name does harm, that is the figure to look at.
# [Abstaining](../docs/concepts/abstaining.md) says what each promise rests on.
