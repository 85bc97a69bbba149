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
# figure: Loss and accuracy of each epoch, in training and in validation, with a line at the best epoch.
plt.show()

# %% [markdown]
# ## Confusion matrix
# Colour is the share of the true class, so a rare class is as visible as a common one.

# %%
evaluation.plot()
# figure: The confusion matrix of ten digits, with the number of images in each cell.
plt.show()

# %%
evaluation.plot(normalize=True)
# figure: The same matrix with the share of each true class in place of numbers.
plt.show()

# %% [markdown]
# ## Each class with its interval, and what a probability of 0.9 means

# %%
evaluation.plot("classes")
# figure: F1 of each digit as a bar, with its 95 % interval.
plt.show()

# %%
evaluation.plot("reliability")
# figure: Accuracy against confidence: points near the diagonal mean that confidence can be believed.
plt.show()

# %% [markdown]
# ## Images with their labels
# Wrong ones are red: true label → predicted label.

# %%
evaluation.show(range(25))
# figure: Twenty-five test digits with their labels; where one is wrong, true and predicted label in red.
plt.show()

# %% [markdown]
# ## Top losses: the images that the model finds hardest

# %%
evaluation.show_top_losses(12)
# figure: The twelve test digits that the classifier finds hardest, most of them wrong.
plt.show()

# %% [markdown]
# ## Where it looked
# For the image it finds hardest: what speaks for the class that it said, and not for the true one.

# %%
hardest = evaluation.top_losses(1).iloc[0]
image = test.read(int(hardest.name))
classifier.explain(image, hardest["predicted"], instead_of=hardest["true"], method="occlusion").show()
# figure: The hardest digit, with heat where it looks like the predicted class and not like the true one.
plt.show()

# %% [markdown]
# ## Into a figure of your own
# The functions of `imgcls.plotting` take data and `ax`.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
plotting.curves(classifier.history_, "loss", ax=left)
plotting.curves(classifier.history_, "learning_rate", ax=right)
# figure: Side by side: the loss of each epoch, and the learning rate, which falls to zero.
plt.show()
