"""The eight orientations of EXIF and TIFF, in NumPy."""

import numpy as np

UPRIGHT = {  # from what is stored, `(H, W, C)`, to what is meant
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: np.rot90,
}
