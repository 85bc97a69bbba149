# %% [markdown]
# # 14. Satellite tiles: neighbours leak
#
# Tiles that are cut from one scene share its light, season and soil. Dealt by chance, a test tile has its neighbours
# among the training tiles, and recognizing the scene is enough. This example draws its own tiles of five bands (red,
# green, blue and two of infrared), so its figures say nothing about any real land. What it teaches: what belongs
# together must be tested together, and only you know what does.

# %%
import numpy as np
from matplotlib import pyplot as plt

from imgcls import Dataset, ImageClassifier
from imgcls.plotting import image_grid

folder = None  # yours, such as "tiles/": class folders, and in each file's name its scene, as in scene-07_tile-3.tif
SIDE, SCENES, TILES = 16, 15, 12
COVERS = {  # red, green, blue, near infrared, short-wave infrared
    "field": (70, 95, 60, 150, 110),
    "forest": (40, 70, 45, 165, 70),
    "town": (120, 115, 110, 120, 125),
    "water": (45, 70, 95, 35, 25),
}


def draw_tiles(cover: str, count: int, random: np.random.Generator) -> np.ndarray:
    """Draw neighbouring tiles of one scene, `uint8 (count, SIDE, SIDE, 5)`: colour and roughness are the scene's."""
    scene = np.array(COVERS[cover]) * random.uniform(0.7, 1.3, 5) + random.normal(0, 20, 5)
    tiles = scene + random.normal(0, random.uniform(4, 14), (count, SIDE, SIDE, 5))
    tiles += random.normal(0, 4, (count, 1, 1, 5))
    for tile in tiles:
        if cover == "field":  # furrows
            tile[:, :: random.integers(3, 6)] *= 0.85
        if cover == "town":  # roofs
            for y, x in random.integers(0, SIDE - 4, (4, 2)):
                tile[y : y + 4, x : x + 4] += 40
    return np.clip([np.rot90(tile, random.integers(4)) for tile in tiles], 0, 255).astype(np.uint8)


random = np.random.default_rng(0)
if folder:
    tiles = Dataset.from_folder(folder, groups=r"(scene-\d+)")
else:
    scenes = [(cover, f"{cover}, scene {number}") for cover in COVERS for number in range(SCENES)]
    images = np.concatenate([draw_tiles(cover, TILES, random) for cover, _ in scenes])
    labels, names = ([scene[column] for scene in scenes for _ in range(TILES)] for column in (0, 1))
    tiles = Dataset.from_arrays(images, labels, groups=names)
print(tiles, f"from {len(set(tiles.groups))} scenes, {tiles[0].image.shape[2]} bands")

# %% [markdown]
# Three tiles of each of eight scenes, near infrared shown as red: neighbours are alike, scenes are not.

# %%
scenes_there = sorted(set(tiles.groups))
some = scenes_there[:: max(1, len(scenes_there) // 8)][:8]
shown = [int(at) for scene in some for at in np.flatnonzero(tiles.groups == scene)[:3]]
bands = (3, 0, 1) if tiles[0].image.shape[2] > 3 else (0, 1, 2)
image_grid([tiles.read(at)[..., bands] for at in shown], [str(tiles[at].label) for at in shown], columns=6)
# figure: Twenty-four tiles of eight scenes in false colour; tiles of one scene have nearly the same colour.
plt.show()

# %% [markdown]
# ## Divide twice
# Once by chance, as if each tile stood alone; once with all tiles of a scene in one part.

# %%
ways = {
    "by chance": tiles.split((0.7, 0.3), seed=1, groups=tiles.ids),  # each tile a group of its own
    "by scene": tiles.split((0.7, 0.3), seed=1),
}
for words, (train, test) in ways.items():
    print(f"{words}: {len(train)} to learn from, {len(test)} to test,", end=" ")
    print(f"{len(set(train.groups) & set(test.groups))} scenes on both sides")

# %% [markdown]
# ## The same recipe, two figures
# From above there is no up: `"overhead"` turns tiles by any angle. Five bands train our own networks.

# %%
classifiers, evaluations = {}, {}
for words, (train, test) in ways.items():
    classifiers[words] = ImageClassifier("small_cnn", augmentation="overhead", epochs=15).fit(train, verbose=0)
    evaluations[words] = classifiers[words].evaluate(test)
    lower, upper, _ = evaluations[words].intervals["accuracy"]
    print(f"{words}: accuracy {evaluations[words].accuracy:.3f} [{lower:.3f}, {upper:.3f}]")

# %% [markdown]
# ## Who told the truth?
# We can draw scenes that nobody has seen, one tile of each. That is what a map of new land would meet.

# %%
if folder is None:
    new_labels = [cover for cover in COVERS for _ in range(150)]
    new_land = Dataset.from_arrays(np.concatenate([draw_tiles(cover, 1, random) for cover in new_labels]), new_labels)
    truth = classifiers["by chance"].evaluate(new_land)
    lower, upper, _ = truth.intervals["accuracy"]
    print(f"new land, learnt from the split by chance: {truth.accuracy:.3f} [{lower:.3f}, {upper:.3f}]")

# %% [markdown]
# The flattering interval does not hold the truth, and nothing in it says so: intervals assume that test images are
# drawn alone. Tiles of a scene are not, so the interval of the split by scene is too narrow as well: it counts tiles
# where scenes should be counted. [Divide so that nothing leaks](../docs/how-to/split.md) says how to name groups, and
# [Medical and satellite images](../docs/how-to/medical-and-satellite.md) how to read many bands.
