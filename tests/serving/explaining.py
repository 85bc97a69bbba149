"""A server process that explains, as one of a bundle does, without TensorFlow: python explaining.py."""

import numpy as np
from lights import predictor

from imgcls import images, serving

NAMES = (
    *(
        "night",
        "<img src=x onerror=\"document.title='hacked'\">",
        "day",
        "a name that is too long for one line of a phone",
    ),
    *(f"class {number}" for number in range(8)),
)


def run(pixels):
    """Of twelve classes, the one that the brightness says."""
    light = pixels.mean(axis=(1, 2, 3), dtype=np.float32)[:, None]
    scores = -np.abs(light - np.linspace(0, 255, len(NAMES), dtype=np.float32)) / 20
    return np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)


class Classifier:
    """What a server needs of one."""

    predictor = predictor(run, classes=list(NAMES))

    def explain(self, data, method="grad_cam"):
        """Say that the upper half was looked at."""
        image = images.read(data)
        heat = np.zeros(image.shape[:2], np.float32)
        heat[: len(heat) // 2] = 1
        label = self.predictor.predict(data).label
        return type("Explanation", (), {"label": label, "image": image, "heat": heat})


if __name__ == "__main__":
    serving.serve(Classifier(), port=0, name="<b>lights</b>.imgcls", max_bytes=200_000)
