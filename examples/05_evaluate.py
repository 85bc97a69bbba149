# %% [markdown]
# # 5. Evaluate
#
# `evaluate` makes one pass over labelled images. Every figure comes from that pass, so no two can disagree.

# %%
from imgcls import Dataset, ImageClassifier

training, test = Dataset.builtin("digits").split((0.8, 0.2), seed=0)
classifier = ImageClassifier("small_cnn", image_size=16, epochs=4).fit(training, verbose=0)
evaluation = classifier.evaluate(test)

# %% [markdown]
# ## Accuracy, precision, recall, F1
# An evaluation is a mapping of figures. Macro means: the mean over classes.

# %%
for name, value in evaluation.items():
    print(f"{name:18} {value:.3f}")

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

# %% [markdown]
# ## Each image
# One row an image, keyed by its id; the hardest first.

# %%
print(evaluation.top_losses(5).to_string(index=False))

# %% [markdown]
# ## For another program

# %%
print(evaluation.to_json()[:120], "...")
