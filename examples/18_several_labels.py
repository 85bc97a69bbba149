# %% [markdown]
# # 18. Several labels an image, and a threshold for each
#
# A blood smear shows red cells, white cells, platelets, or all of them: each is a question of its own. This example
# draws its own smears, so its figures say nothing about any blood. What it teaches: 0.5 is nobody's best threshold for
# a rare label; choose one for each label on validation images, and measure it on others.

# %%
import numpy as np
from matplotlib import pyplot as plt
from PIL import Image, ImageDraw, ImageFilter

from imgcls import Dataset, ImageClassifier, plotting

table = None  # yours, such as "labels.csv": a column image, and a column label that holds names joined by "|"
SIDE, CELLS = 40, {"red": 0.8, "white": 0.4, "platelets": 0.15}  # how often a smear shows each


def draw_smear(cells: list[str], random: np.random.Generator) -> np.ndarray:
    """Draw cells on a pale ground; platelets are a few small dots, and specks of dye look like them."""
    image = Image.new("RGB", (80, 80), (235, 215, 215))
    pen = ImageDraw.Draw(image)
    if "red" in cells:
        for x, y in random.uniform(5, 75, (random.integers(2, 6), 2)):
            pen.circle((x, y), 10, (215, 130, 130), (195, 105, 110), 2)
            pen.circle((x, y), 4, (230, 165, 165))
    if "white" in cells:
        x, y = random.uniform(18, 62, 2)
        pen.circle((x, y), 15, (205, 185, 215))
        for turn in random.uniform(-7, 7, (3, 2)):
            pen.circle((x + turn[0], y + turn[1]), 6, (100, 60, 150))
    for x, y in random.uniform(4, 76, (random.integers(0, 3), 2)):  # dye
        pen.circle((x, y), random.uniform(0.5, 2), (150, 90, 160))
    if "platelets" in cells:
        for x, y in random.uniform(6, 74, 2) + random.uniform(-9, 9, (random.integers(2, 5), 2)):
            pen.circle((x, y), random.uniform(2, 3.5), (140, 85, 165))
    image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.5, 1.5))).resize((SIDE, SIDE), Image.Resampling.BOX)
    pixels = np.asarray(image) * random.uniform(0.8, 1.08) + random.normal(0, 9, (SIDE, SIDE, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


if table:
    smears = Dataset.from_csv(table, delimiter="|")
else:
    random = np.random.default_rng(0)
    labels = [[name for name, share in CELLS.items() if random.random() < share] for _ in range(1_400)]
    images = np.stack([draw_smear(cells, random) for cells in labels])
    smears = Dataset.from_arrays(images, labels, classes=list(CELLS))
print(smears)
print(smears.counts())
plotting.image_grid([smears.read(at) for at in range(12)], [", ".join(smears[at].label) for at in range(12)], columns=6)
# figure: Twelve drawn smears with the names of the cells in them: red, white, platelets, several, or none.
plt.show()

# %% [markdown]
# ## Check, divide, learn
# The head gives each label a probability of its own, between 0 and 1; they do not sum to 1.

# %%
print([str(finding) for finding in smears.check(verbose=0).findings] or "nothing to find fault with")
train, validation, test = smears.split((0.5, 0.25, 0.25), seed=0)
classifier = ImageClassifier("small_cnn", augmentation="overhead", epochs=10)
classifier.fit(train, validation_data=validation, verbose=0)
evaluation = classifier.evaluate(test)
print(evaluation)

# %% [markdown]
# Accuracy asks for every label of an image at once. Below it stands each label alone, and the rare one is often missed
# at 0.5.
#
# ## A threshold for each label
# The one with the highest F1 on the validation images; then measured on the test images.

# %%
thresholds = classifier.evaluate(validation).thresholds()
truth, probabilities = np.asarray(test.labels), classifier.predict_proba(test)


def f1(truth: np.ndarray, said: np.ndarray) -> float:
    """Return the harmonic mean of precision and recall."""
    return float(2 * np.sum(truth & said) / (np.sum(truth) + np.sum(said)))


at_half, chosen = {}, {}
for code, name in enumerate(classifier.classes_):
    at_half[name], chosen[name] = (
        f1(truth[:, code] == 1, probabilities[:, code] >= limit) for limit in (0.5, thresholds[name])
    )
    print(f"{name:10} F1 {at_half[name]:.3f} at 0.5, {chosen[name]:.3f} at {thresholds[name]:.2f}")

# %%
rarest = min(smears.counts(), key=smears.counts().get)
evaluation.plot("precision_recall")
# figure: Precision against recall of each label; the curve of the rare platelets lies below the others.
plt.show()

# %% [markdown]
# ## Is that luck?
# A label that is found nearly always gains nothing, and may lose a little: its threshold rests on few mistakes. For the
# rare one, draw the test images again and again, and look at how far its gain moves.

# %%
code = list(classifier.classes_).index(rarest)
draws = np.random.default_rng(0).integers(0, len(test), (1_000, len(test)))
gains = [
    f1(truth[draw, code] == 1, probabilities[draw, code] >= thresholds[rarest])
    - f1(truth[draw, code] == 1, probabilities[draw, code] >= 0.5)
    for draw in draws
]
lower, upper = np.quantile(gains, [0.025, 0.975])
print(f"{rarest}: F1 {chosen[rarest] - at_half[rarest]:+.3f} [{lower:+.3f}, {upper:+.3f}]")

# %% [markdown]
# ## Keep them
# From now on the classifier says a label from its threshold on, and so do its bundle, its exports and the server.

# %%
kept = classifier.set_thresholds(thresholds).evaluate(test)
print(f"{rarest}: F1 {kept.per_class[rarest]['f1']:.3f} by `evaluate`, {chosen[rarest]:.3f} by hand")

# %% [markdown]
# [Several labels an image](../docs/how-to/several-labels.md) has the tables that such labels come in, and what goes
# with them.
