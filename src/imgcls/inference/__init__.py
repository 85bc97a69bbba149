"""From images of any kind to answers: one road for classifiers, exported files and servers. Needs no Keras.

What computes is a function from pixels to probabilities: a compiled Keras model, or another runtime.
"""

from imgcls.inference._outputs import in_passes, outputs
from imgcls.inference._predictor import Predictor
from imgcls.inference._stream import stream

__all__ = ["Predictor", "in_passes", "outputs", "stream"]
