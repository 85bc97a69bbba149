# %% [markdown]
# # 10. Screening: find nearly all, and say what that costs
#
# Two classes, one of them rare, and a miss is worse than a false alarm: as in X-rays, or parts with cracks. This
# example draws its own "plates", some with a faint crack, so its figures say nothing about any real screening. The
# steps are the same.

# %%
import numpy as np
from matplotlib import pyplot as plt

from imgcls import Dataset, ImageClassifier

SIDE = 32


def draw_plate(cracked: bool, random: np.random.Generator) -> np.ndarray:
    """Draw a grey plate with scratches and noise; a crack is a faint dark line that wanders."""
    plate = np.full((SIDE, SIDE), random.uniform(100, 160)) + random.normal(0, 12, (SIDE, SIDE))
    for _ in range(random.integers(0, 3)):  # straight scratches are harmless
        plate[random.integers(SIDE), :] -= random.uniform(10, 40)
    if cracked:
        steps = np.cumsum(random.integers(-1, 2, SIDE)) + random.integers(8, SIDE - 8)
        plate[np.arange(SIDE), np.clip(steps, 0, SIDE - 1)] -= random.uniform(5, 50)
    return np.clip(plate, 0, 255).astype(np.uint8)[..., None]


random = np.random.default_rng(0)
truth = ["cracked" if random.random() < 0.2 else "sound" for _ in range(2_000)]
plates = Dataset.from_arrays(np.stack([draw_plate(name == "cracked", random) for name in truth]), truth)
training, validation, test = plates.split((0.6, 0.2, 0.2), seed=0)
test[:16].show()
# figure: Sixteen gray plates with scratches and noise; some have a faint dark crack from side to side.
plt.show()

# %% [markdown]
# ## Train, and look at the means over classes
# One in five is cracked. Who calls every plate sound is right four times in five: so the means over classes come first.

# %%
classifier = ImageClassifier("speed_cnn", epochs=6)
classifier.fit(training, validation_data=validation, verbose=0)
evaluation = classifier.evaluate(test)
print(evaluation)

# %% [markdown]
# ## How many alarms are false where nearly all cracks are found
# The threshold is chosen on the validation images, and measured on the test images: chosen on the same images, it would
# look better than it is.

# %%
chosen = classifier.evaluate(validation).operating_point("cracked", recall=0.95)
print("validation:", chosen)
alarm = classifier.predict_proba(test)[:, list(classifier.classes_).index("cracked")] >= chosen.threshold
cracked = np.array([sample.label == "cracked" for sample in test])
print(f"test: {np.mean(alarm[cracked]):.0%} of the cracks found, {np.mean(cracked[alarm]):.0%} of the alarms true")

# %%
evaluation.plot("precision_recall")
# figure: Precision against recall for the two classes.
plt.show()

# %% [markdown]
# ## What a miss costs
# Say a missed crack costs 20 times a false alarm. The class with the lowest expected cost is not the likeliest one.
# This needs probabilities that mean what they say: so a temperature was fitted, and `class_weight` is left alone, which
# would have moved them.

# %%
costs = {("sound", "cracked"): 1, ("cracked", "sound"): 20}
matrix = np.array([[costs.get((true, said), 0) for said in classifier.classes_] for true in classifier.classes_])
print(f"mean cost of saying the likeliest class: {evaluation.cost(matrix, cheapest=False):.3f}")
print(f"mean cost of saying the cheapest class: {evaluation.cost(matrix):.3f}")

# %% [markdown]
# ## Leave the doubtful ones to a person
# Answers below this confidence go to somebody who looks.

# %%
print(classifier.held_out_.select(most_error=0.08))
answers = classifier.predict(test, abstain="unsure", most_error=0.08)
print(f"{np.mean(answers.unknown):.0%} of the test images are left to a person")

# %% [markdown]
# ## Look where it looked

# %%
found = int(np.flatnonzero(alarm & cracked)[0])
classifier.explain(test.read(found), "cracked").show()
# figure: A cracked plate with heat over its right half, where most speaks for a crack.
plt.show()
