# %% [markdown]
# # 20. Several workers train one model
#
# Two processes, each of which reads and learns from its half of every batch, end with the same weights. Here both run
# on this machine, which is no faster; on two machines only the addresses change. The digits ship with scikit-learn, so
# nothing is downloaded. What it teaches: what a worker is told, and how you see that all is well.

# %%
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from imgcls import Dataset, ImageClassifier

# %% [markdown]
# ## What every worker runs
# A script of its own: the same data, split and arguments everywhere. `choose_devices` joins the workers, and comes
# before anything that TensorFlow computes.

# %%
SCRIPT = """
import hashlib, json
from imgcls import Dataset, ImageClassifier, trainer

choice = trainer.choose_devices()
train, validation, test = Dataset.builtin("digits").split((0.7, 0.15, 0.15), seed=0)
classifier = ImageClassifier("small_cnn", image_size=8, epochs=4)
classifier.fit(train, validation_data=validation, checkpoint="runs/together", verbose=0)
evaluation = classifier.evaluate(test)
weights = b"".join(weight.tobytes() for weight in classifier.model_.get_weights())
lower, upper, _ = evaluation.intervals["accuracy"]
print(json.dumps({
    "who": choice.reason,
    "accuracy": [round(figure, 4) for figure in (evaluation.accuracy, lower, upper)],
    "weights": hashlib.sha256(weights).hexdigest()[:12],
}))
"""
folder = Path(tempfile.mkdtemp(prefix="imgcls-together-"))
script = folder / "train_together.py"
script.write_text(SCRIPT)
print("written:", script.name)

# %% [markdown]
# ## Who the others are
# `TF_CONFIG` names all workers in one order, and says which of them this is. Two free ports are enough here.

# %%
with socket.socket() as first, socket.socket() as second:
    for one in (first, second):
        one.bind(("localhost", 0))
    cluster = {"worker": [f"localhost:{one.getsockname()[1]}" for one in (first, second)]}


def start(index: int) -> subprocess.Popen[str]:
    """Start one worker, on the CPU."""
    config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
    environment = {**os.environ, "TF_CONFIG": config, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, script.name]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment, **pipes)  # noqa: S603 - our own script


# %% [markdown]
# ## Train together
# The first waits for the second. If one fails, the other is ended too: nothing is left running.

# %%
workers = [start(index) for index in range(2)]
try:
    outputs = [worker.communicate(timeout=240) for worker in workers]
finally:
    for worker in workers:
        worker.kill()
        worker.wait()
for worker, (_, errors) in zip(workers, outputs, strict=True):
    if worker.returncode:
        raise RuntimeError(errors)

told = [json.loads(printed.splitlines()[-1]) for printed, _ in outputs]
for answer in told:
    accuracy, lower, upper = answer["accuracy"]
    print(f"{answer['who']}: accuracy {accuracy:.3f} [{lower:.3f}, {upper:.3f}]")
print("same weights on both:", told[0]["weights"] == told[1]["weights"])

# %% [markdown]
# ## Is it as good as one process?
# The gradient is that of the whole batch. Random numbers differ from those of one process, and BatchNormalization sees
# half a batch, so the weights are others, and the accuracy may differ by what chance explains.

# %%
train, validation, test = Dataset.builtin("digits").split((0.7, 0.15, 0.15), seed=0)
alone = ImageClassifier("small_cnn", image_size=8, epochs=4).fit(train, validation_data=validation, verbose=0)
evaluation = alone.evaluate(test)
lower, upper, method = evaluation.intervals["accuracy"]
print(f"one process: accuracy {evaluation.accuracy:.3f} [{lower:.3f}, {upper:.3f}]")

# %%
figures = np.array([*(answer["accuracy"] for answer in told), (evaluation.accuracy, lower, upper)])
figure, ax = plt.subplots(figsize=(6, 2.4), layout="constrained")
names = ["worker 0 of 2", "worker 1 of 2", "one process"]
ax.errorbar(figures[:, 0], names, xerr=np.abs(figures[:, 1:] - figures[:, :1]).T, fmt="o", capsize=4)
ax.set(xlabel="accuracy on the test images, with its 95 % interval", ylim=(2.5, -0.5))
# figure: Three accuracies with intervals: those of the two workers are equal, and that of one process overlaps.
plt.show()

# %% [markdown]
# [Several machines](../docs/how-to/several-machines.md) has clusters, schedulers, and what happens when one is lost.
