"""`ImageClassifier`, and `train`, which divides, fits and evaluates in one call."""

from imgcls.classifier._answering import NotFittedError
from imgcls.classifier._classifier import ImageClassifier
from imgcls.classifier._parts import divide
from imgcls.classifier._train import train

__all__ = ["ImageClassifier", "NotFittedError", "divide", "train"]
