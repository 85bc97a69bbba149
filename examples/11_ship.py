# %% [markdown]
# # 11. Ship a model
#
# From a classifier to files that other programs run, each proved to answer the same. This takes
# `pip install "imgcls[onnx,litert]"`.

# %%
import tempfile
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from imgcls import Dataset, ExportedModel, ExportError, ImageClassifier, UnreadableImageError

folder = Path(tempfile.mkdtemp(prefix="imgcls-ship-"))
training, validation, test = Dataset.builtin("digits").split((0.7, 0.15, 0.15), seed=0)
classifier = ImageClassifier("small_cnn", image_size=16, epochs=8)
classifier.fit(training, validation_data=validation, verbose=0)
print(f"accuracy {classifier.evaluate(test).accuracy:.3f}")

# %% [markdown]
# ## The bundle
# For Python with imgcls. It is data, never code: whoever opens it runs nothing of it. Golden images inside show, on any
# machine, whether it still answers as it did here.

# %%
bundle = classifier.save(folder / "digits.imgcls", license="CC0-1.0")
print(ImageClassifier.load(bundle).verify())

# %% [markdown]
# ## Files for other programs
# Scaling is inside, class names travel along, probabilities are calibrated. Each file is opened by its own runtime and
# compared before it is kept; the certificate says what was found.

# %%
certificate = classifier.export(folder / "digits.onnx", data=test)
print(certificate)

# %% [markdown]
# A quarter of the size, for a phone. Its ranges are set by images of all classes. If it lost more than a point of
# accuracy, or were slower here than the large one, it would be refused.

# %%
large = classifier.export(folder / "large.tflite", data=test)
try:
    small = classifier.export(folder / "small.tflite", quantize="int8", data=test)
    print(f"{large.size:,} bytes, and {small.size:,} with int8")
except ExportError as error:
    print(error)

# %% [markdown]
# ## On the other side
# An ONNX, LiteRT or OpenVINO file answers without TensorFlow, in a second from the start of Python.

# %%
model = ExportedModel.open(folder / "digits.onnx")
print(model.verify())
print(model.predict(test.read(0)), "and it is a", test[0].label)
model.predict(test[:8]).show(8)
# figure: Eight test digits, each with the label and confidence that the exported file gives it.
plt.show()

# %% [markdown]
# ## A stream
# Frames of a camera, files that arrive: each is answered as soon as it can be. One that cannot be read is answered by
# its error.

# %%
arriving = [test.read(1), b"half an ima", test.read(2)]
for answer in model.predict(iter(arriving)):
    print("refused" if isinstance(answer, UnreadableImageError) else answer)

# %% [markdown]
# ## A table that can be continued
# Stop it whenever you like; the same call goes on.

# %%
table = model.predict_to(folder / "answers.csv", test[:100])
table = model.predict_to(folder / "answers.csv", test)
print(len(table.ids), "rows:", (folder / "answers.csv").read_text().splitlines()[1])

# %% [markdown]
# ## Both answer the same

# %%
print(f"{np.abs(model.predict_proba(test) - classifier.predict_proba(test)).max():.0e} apart at most")
