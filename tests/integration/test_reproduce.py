"""One seed, one result: in another process, and however many threads read."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import hashlib, json, sys
from imgcls import Dataset, ImageClassifier
from imgcls.datasets import _batches

_batches.THREADS, _batches.IN_MEMORY_BYTES = int(sys.argv[2]), 0  # decoded anew in every epoch, by so many threads

def trained(architecture, **options):
    classifier = ImageClassifier(
        architecture, image_size=16, epochs=2, batch_size=32, augmentation="strong", mixing="both", **options
    ).fit(Dataset.from_folder(sys.argv[1]), verbose=0)
    return hashlib.sha256(b"".join(one.tobytes() for one in classifier.model_.get_weights())).hexdigest()

print(json.dumps([
    trained("small_cnn"),
    trained("small_cnn", seed=1),
    trained("small_cnn", deterministic=True, optimizer="muon"),
    trained("small_resnet", deterministic=True),
]))
"""


@pytest.mark.slow
def test_weights_are_equal_in_two_processes_with_one_and_with_four_threads(tmp_path, monkeypatch):
    from imgcls import Dataset
    from imgcls.datasets import write_png

    monkeypatch.setenv("IMGCLS_CACHE", "off")
    for sample in Dataset.builtin("digits")[:300]:
        path = tmp_path / sample.label / f"{sample.id}.png"
        path.parent.mkdir(exist_ok=True)
        write_png(sample.image, path)
    found = []
    for threads in ("1", "4"):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path), threads]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        found.append(json.loads(done.stdout))
    assert found[0] == found[1]
    assert len(set(found[0])) == 4  # another seed, another recipe: another result
