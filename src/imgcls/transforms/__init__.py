"""Preprocessing, which is part of the saved model, and augmentation, which never is."""

from imgcls.transforms._augmentation import alternates, augmentation, choose_augmentation, describe, names
from imgcls.transforms._mixing import MIXINGS, RandomMix, mixing
from imgcls.transforms._preprocessing import NORMALIZATIONS, Grayscale, RGBToBGR, normalization, preprocessing
from imgcls.transforms._tone import RandomTone
from imgcls.transforms._warp import RandomWarp

__all__ = [
    "MIXINGS",
    "NORMALIZATIONS",
    "Grayscale",
    "RGBToBGR",
    "RandomMix",
    "RandomTone",
    "RandomWarp",
    "alternates",
    "augmentation",
    "choose_augmentation",
    "describe",
    "mixing",
    "names",
    "normalization",
    "preprocessing",
]
