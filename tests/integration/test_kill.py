"""Runs that are killed at random moments, again and again, end with the weights of a run that never was.

One process imports TensorFlow, and forks a child for each attempt before anything is computed: a kill costs a second,
not eight.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TRIALS = 5


def attempt(folder, number=signal.SIGKILL):
    """Train a short run to its end, from wherever its checkpoints are; the child's whole work."""
    from imgcls import Dataset, architectures, trainer, transforms
    from imgcls.trainer import _keeper

    _keeper.SAVE_SECONDS = _keeper.SAVE_SHARE = 0.0
    digits = Dataset.builtin("digits")[:160]
    model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10, dropout=0.3)
    history = trainer.train(
        model,
        digits,
        validation_data=digits[:40],
        epochs=6,
        batch_size=32,
        augmentation=transforms.augmentation("light", seed=3),
        average=0.9,
        patience=6,
        checkpoint=folder,
        verbose=0,
    )
    digest = hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights()))
    digest.update(json.dumps(dict(history)).encode())
    (folder.parent / f"{folder.name}.txt").write_text(digest.hexdigest())


def forked(folder):
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        attempt(folder)
        code = 0
    finally:
        os._exit(code)


def ended(child):
    done, status = os.waitpid(child, os.WNOHANG)
    assert not done or os.waitstatus_to_exitcode(status) == 0
    return bool(done)


def newest(runs):
    return max((int(path.name[-6:]) for path in runs.glob("checkpoint-*")), default=0)


def serve(folder, seed):
    """Run once to the end; then again and again, killed every few steps until the end; print what came out."""
    import keras  # noqa: F401 - with TensorFlow, once for all children

    import imgcls.trainer  # noqa: F401 - the same

    child = forked(folder / "truth")
    while not ended(child):
        time.sleep(0.01)
    generator, places = random.Random(seed), []
    for trial in range(TRIALS):
        runs = folder / f"trial-{trial}"
        while True:
            child, goal = forked(runs), newest(runs) + generator.randint(1, 8)
            while not (over := ended(child)) and newest(runs) < goal:
                time.sleep(0.002)
            if over:
                break
            time.sleep(generator.uniform(0, 0.02))  # in the middle of a step, or of the next checkpoint
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            places.append(newest(runs))
    digests = {path.stem: path.read_text() for path in folder.glob("*.txt")}
    sys.stdout.write(json.dumps({"digests": digests, "places": places}))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork, which Windows lacks")
def test_killed_at_random_steps_the_weights_are_the_same(tmp_path):
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path), "0"], check=False, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    assert len(report["digests"]) == TRIALS + 1
    assert set(report["digests"].values()) == {report["digests"]["truth"]}
    assert len(report["places"]) >= 24  # dozens of kills
    assert len(set(report["places"])) >= 8  # at many different steps


def test_sigterm_saves_says_how_to_go_on_and_ends_the_process(tmp_path):
    """As batch systems and container hosts stop a process; what the shell sees is that it was terminated."""
    code = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
import keras, numpy as np
from imgcls import Dataset, architectures, trainer

class Slow(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        print("step", flush=True)
        time.sleep(0.2)

model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10)
trainer.train(model, Dataset.builtin("digits"), epochs=50, callbacks=[Slow()], checkpoint={str(tmp_path / "run")!r}, verbose=2)
print("not reached")
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "step\n"
    begin = time.monotonic()
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=60)
    assert time.monotonic() - begin < 5
    assert child.returncode == -signal.SIGTERM
    assert "not reached" not in out
    assert err.splitlines()[-1].startswith("interrupted at epoch 1/50, step ")
    assert err.splitlines()[-1].endswith(f"To go on, train again with checkpoint={str(tmp_path / 'run')!r}")
    assert len(list((tmp_path / "run").glob("checkpoint-*"))) == 1


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
