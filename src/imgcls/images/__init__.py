"""One image: read from a file, bytes or an array, resized, written. One decoder, with one rule for each oddity.

Needs NumPy and Pillow. Users meet `read`, `resize` and `write_png` in `imgcls.datasets`; the rest serves that room.
"""

from imgcls.images._accepted import FORMATS, MAX_BYTES, MAX_PIXELS, SUFFIXES, budget
from imgcls.images._corrupt import CORRUPTIONS, SEVERITIES, corrupt
from imgcls.images._data_uri import data_uri, shrunk
from imgcls.images._decoder import DECODER_VERSION, THREADS, glance, is_pil, made_with, read, resize, write_png
from imgcls.images._drawn import drawn
from imgcls.images._heat import with_heat
from imgcls.images._refusals import is_truncated, wrong_dtype

__all__ = [
    "CORRUPTIONS",
    "DECODER_VERSION",
    "FORMATS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "SEVERITIES",
    "SUFFIXES",
    "THREADS",
    "budget",
    "corrupt",
    "data_uri",
    "drawn",
    "glance",
    "is_pil",
    "is_truncated",
    "made_with",
    "read",
    "resize",
    "shrunk",
    "with_heat",
    "write_png",
    "wrong_dtype",
]
