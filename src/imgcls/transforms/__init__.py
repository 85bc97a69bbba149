"""Preprocessing, which is part of the saved model, and augmentation, which never is."""

from imgcls.transforms._augmentation import RandomTone, RandomWarp, augmentation, choose_augmentation, describe, names
from imgcls.transforms._preprocessing import NORMALIZATIONS, Grayscale, RGBToBGR, normalization, preprocessing

__all__ = [
    "NORMALIZATIONS",
    "Grayscale",
    "RGBToBGR",
    "RandomTone",
    "RandomWarp",
    "augmentation",
    "choose_augmentation",
    "describe",
    "names",
    "normalization",
    "preprocessing",
]
