"""Explanations: where in an image a classifier looks, and checks of whether that can be believed."""

from imgcls.explain._explanation import Explanation, explanation
from imgcls.explain._heat_map import METHODS, heat_map
from imgcls.explain._sanity import deletion_score, randomised_correlation

__all__ = ["METHODS", "Explanation", "deletion_score", "explanation", "heat_map", "randomised_correlation"]
