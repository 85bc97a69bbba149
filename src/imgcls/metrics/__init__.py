"""Metrics: pure functions of (true labels, probabilities), and `Evaluation`, which holds them all.

Needs NumPy and scikit-learn; neither Keras nor TensorFlow.
"""

from imgcls.metrics._evaluation import Evaluation

__all__ = ["Evaluation"]
