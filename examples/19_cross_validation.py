# %% [markdown]
# # 19. Cross-validation with scikit-learn
#
# `ImageClassifier` is an estimator like any other of scikit-learn's: it is scored in folds, searched and put into a
# pipeline. The digits ship with scikit-learn, so nothing is downloaded. What it teaches: how far a score moves from
# fold to fold, and that the best score of a search is not the accuracy to expect.

# %%
import numpy as np
from matplotlib import pyplot as plt
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from imgcls import Dataset, ImageClassifier

# %% [markdown]
# ## Data
# scikit-learn divides arrays, or lists of paths, by itself. Few images are learnt from, so that folds differ. Those put
# aside are for the end.

# %%
digits = Dataset.builtin("digits")
few, aside = digits.split((0.15, 0.85), seed=0)
images, labels = np.stack([sample.image for sample in few]), np.array([sample.label for sample in few])
print(images.shape, labels.shape, "and", len(aside), "put aside")

# %% [markdown]
# ## Score in folds
# Three classifiers, each scored on a third that it has not seen. Leave `n_jobs` at 1: TensorFlow uses all cores
# already.

# %%
folds = StratifiedKFold(3, shuffle=True, random_state=0)
classifier = ImageClassifier("small_cnn", image_size=8, epochs=10, learning_rate=0.01)
scores = cross_val_score(classifier, images, labels, cv=folds, params={"verbose": 0})
print("accuracy of each fold:", scores.round(3), f"mean {scores.mean():.3f}")

# %% [markdown]
# The spread of three folds is no interval: they share most of their training images. Take it for a feeling of how much
# depends on which images were learnt from.
#
# ## Search
# Every argument of the constructor can be searched.

# %%
search = GridSearchCV(classifier, {"learning_rate": [0.0003, 0.003, 0.01]}, cv=folds)
search.fit(images, labels, verbose=0)
tried, means, spreads = (
    search.cv_results_[name] for name in ("param_learning_rate", "mean_test_score", "std_test_score")
)
for rate, mean, spread in zip(tried, means, spreads, strict=True):
    print(f"learning rate {rate:<6} accuracy {mean:.3f}, folds apart by {spread:.3f}")

# %%
figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
axes.errorbar(np.array(tried, float), means, yerr=spreads, marker="o", capsize=4)
axes.set(
    xscale="log", xlabel="learning rate", ylabel="accuracy in folds", title="Search: mean and spread of three folds"
)
# figure: Accuracy in folds against the learning rate: too low a rate has learnt little in ten epochs.
plt.show()

# %% [markdown]
# ## What to expect
# The best of several scores is partly luck, which flatters. Each fold learnt from two thirds of the images, which does
# the opposite. The images put aside have chosen nothing, so they tell. `best_estimator_` is an `ImageClassifier` that
# was fitted on all the few images.

# %%
evaluation = search.best_estimator_.evaluate(aside)
lower, upper, method = evaluation.intervals["accuracy"]
print(f"best of the search: {search.best_score_:.3f}")
print(f"put aside: {evaluation.accuracy:.3f} [{lower:.3f}, {upper:.3f}], {method}")

# %% [markdown]
# ## A pipeline
# What comes before the network, such as a crop, is a step. Its parameters are searched under the step's name. Scaling
# is no step: that is in the model already.


# %%
def crop(images: np.ndarray, border: int = 0) -> np.ndarray:
    """Cut this many pixels off each side."""
    return images[:, border : images.shape[1] - border, border : images.shape[2] - border]


pipeline = Pipeline([("crop", FunctionTransformer(crop, kw_args={"border": 1})), ("classify", search.best_estimator_)])
cropped = cross_val_score(pipeline, images, labels, cv=folds, params={"classify__verbose": 0})
print("accuracy of each fold, without borders:", cropped.round(3), f"mean {cropped.mean():.3f}")

# %% [markdown]
# Where several images show one thing, give `groups` and `GroupKFold`: see [Use
# scikit-learn](../docs/how-to/scikit-learn.md).
