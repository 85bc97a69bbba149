# %% [markdown]
# # 6. Plots
#
# Results draw themselves and return Matplotlib's Axes. Nothing opens a window until you call `plt.show()`.

# %%
from matplotlib import pyplot as plt

from imgcls import Dataset, ImageClassifier, plotting

training, validation, test = Dataset.builtin("digits").split((0.7, 0.15, 0.15), seed=0)
classifier = ImageClassifier("small_cnn", image_size=16, epochs=6)
classifier.fit(training, validation_data=validation, verbose=0)
evaluation = classifier.evaluate(test)

# %% [markdown]
# ## Loss and accuracy
# A dotted line marks the epoch whose weights were kept.

# %%
classifier.history_.plot()
plt.show()

# %% [markdown]
# ## Confusion matrix
# Colour is the share of the true class, so a rare class is as visible as a common one.

# %%
evaluation.plot()
plt.show()

# %%
evaluation.plot(normalize=True)
plt.show()

# %% [markdown]
# ## Each class with its interval, and what a probability of 0.9 means

# %%
evaluation.plot("classes")
plt.show()

# %%
evaluation.plot("reliability")
plt.show()

# %% [markdown]
# ## Images with their labels
# Wrong ones are red: true label → predicted label.

# %%
evaluation.show(range(25))
plt.show()

# %% [markdown]
# ## Top losses: the images that the model finds hardest

# %%
evaluation.show_top_losses(12)
plt.show()

# %% [markdown]
# ## Where it looked
# For the image it finds hardest: what speaks for the class that it said, and not for the true one.

# %%
hardest = evaluation.top_losses(1).iloc[0]
image = test.read(int(hardest.name))
classifier.explain(image, hardest["predicted"], instead_of=hardest["true"], method="occlusion").show()
plt.show()

# %% [markdown]
# ## Into a figure of your own
# The functions of `imgcls.plotting` take data and `ax`.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
plotting.curves(classifier.history_, "loss", ax=left)
plotting.curves(classifier.history_, "learning_rate", ax=right)
plt.show()
