# %% [markdown]
# # 5. Evaluate
#
# `evaluate` makes one pass over labelled images. Every figure comes from that pass, so no two can disagree.

# %%
from matplotlib import pyplot as plt

from imgcls import Dataset, ImageClassifier

training, validation, test = Dataset.builtin("digits").split((0.7, 0.15, 0.15), seed=0)
classifier = ImageClassifier("small_cnn", image_size=16, epochs=4)
classifier.fit(training, validation_data=validation, verbose=0)
evaluation = classifier.evaluate(test)

# %% [markdown]
# ## Accuracy, precision, recall, F1
# An evaluation is a mapping of figures. Macro means: the mean over classes. Each figure has a 95 % interval: what it
# may be, judged from so few images.

# %%
for name, value in evaluation.items():
    lower, upper, method = evaluation.intervals[name]
    print(f"{name:27} {value:.3f}  [{lower:.3f}, {upper:.3f}]  {method}")

# %% [markdown]
# ## The report
# The text is scikit-learn's `classification_report`.

# %%
print(evaluation.report())

# %% [markdown]
# ## Each class
# `evaluation.to_frame()` gives the same as a pandas frame.

# %%
for name, row in evaluation.per_class.items():
    print(name, {figure: round(value, 3) for figure, value in row.items()})

# %% [markdown]
# ## The confusion matrix
# Row: true class. Column: predicted class.

# %%
print(evaluation.confusion)
for true, predicted, count in evaluation.most_confused(3):
    print(f"{true} taken for {predicted}: {count}")
evaluation.plot()
# figure: The confusion matrix of ten digits: nearly all images stand on the diagonal.
plt.show()

# %% [markdown]
# ## Each image
# One row an image, keyed by its id; the hardest first.

# %%
print(evaluation.top_losses(5).to_string(index=False))

# %% [markdown]
# ## Questions
# Which images does the model know already? How sure must an answer be, so that at most 2 % are wrong? Which labels look
# wrong? Is another classifier better, or can these images not tell?

# %%
print(evaluation.leaks())
print(evaluation.select(most_error=0.02))
print(evaluation.label_errors(3).to_string(index=False))

# %%
other = ImageClassifier("small_cnn", image_size=8, epochs=4).fit(training, validation_data=validation, verbose=0)
print(evaluation.compare(other.evaluate(test)))

# %% [markdown]
# ## For another program

# %%
print(evaluation.to_json()[:120], "...")
