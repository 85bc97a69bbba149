"""DICOM files, read by pydicom: `pip install "imgcls[dicom]"`.

The rules, in this order:

- the first frame; what an enhanced file says of that frame, or of all, comes before what it says of itself;
- grayscale: the modality table or rescale line, then the first VOI table, or else the first window, mapped to 0-255.
  Without either the full range of the stored bits is mapped, so that images of one series stay comparable;
- MONOCHROME1, where small values are bright: inverted;
- PALETTE COLOR: its table; RGB and YBR: RGB; 16-bit colour: the high byte.

A refusal holds the cause alone; the decoder that called adds the name of the file and what is accepted.
"""

import logging
import re
import threading
import warnings
import zlib
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from imgcls.errors import UnreadableImageError

_DEFLATED = rb"1\.2\.840\.10008\.1\.2\.1\.99"  # Deflated Explicit VR Little Endian
_HEADER_BYTES = 2**16
_ALONE = threading.Lock()  # Python keeps its warning filters for the whole process
_GROUPS = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")  # the nearer first
_OF_A_FRAME = {  # what these say of how a frame is shown: DICOM PS3.3, C.7.6.16.2
    "PixelValueTransformationSequence": ("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept"),
    "FrameVOILUTSequence": ("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction"),
}
_NO_RANGE = "its rescale line or window has no finite range"


def read(file: IO[bytes], max_pixels: int) -> NDArray[np.uint8]:
    """Return the first frame as `uint8 (H, W, C)`, C = 1 or 3.

    Args:
        file: An open DICOM file.
        max_pixels: Refuse more, before they are decoded.
    """
    try:
        import pydicom
    except ImportError:
        raise UnreadableImageError(
            'it is DICOM, which needs pydicom. Install it: pip install "imgcls[dicom]"'
        ) from None
    logging.getLogger("pydicom").addHandler(logging.NullHandler())  # its log stays readable by who asks for it
    with _ALONE, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _check_deflated(file, 6 * max_pixels + _HEADER_BYTES)
        dataset = pydicom.dcmread(file, force=True)
        if "Rows" not in dataset or "Columns" not in dataset or "BitsAllocated" not in dataset:
            raise UnreadableImageError("it is DICOM without an image, or no DICOM at all")
        rows, columns, samples = int(dataset.Rows), int(dataset.Columns), int(dataset.get("SamplesPerPixel", 1))
        if rows * columns * samples > 3 * max_pixels or rows * columns > max_pixels:
            raise UnreadableImageError(
                f"{columns} x {rows} pixels are more than {max_pixels:,}; "
                "the environment variable IMGCLS_MAX_PIXELS allows more"
            )
        return _frame(dataset)


def _check_deflated(file: IO[bytes], limit: int) -> None:
    """Refuse a file that would unfold to more than `limit` bytes: pydicom unfolds a deflated one whole."""
    head = file.read(_HEADER_BYTES)
    group = head[132:144]  # (0002,0000), the length of the group that names the transfer syntax (DICOM PS3.10, 7.1)
    start = 144 + int.from_bytes(group[8:], "little")
    if group[:6] == b"\x02\0\0\0UL" and re.search(_DEFLATED, head[144:start]):
        file.seek(start)
        unfold, length = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while length <= limit and (chunk := unfold.unconsumed_tail or file.read(65536)):
            length += len(unfold.decompress(chunk, 2**20))
        if length > limit:
            raise UnreadableImageError(
                f"it unfolds to more than {limit:,} bytes; the environment variable IMGCLS_MAX_PIXELS allows more"
            )
    file.seek(0)


def _frame(dataset: Any) -> NDArray[np.uint8]:
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_windowing

    meaning = str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))
    stored = _stored(dataset)
    if meaning == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)
    if stored.ndim == 3:
        return np.asarray(stored >> 8 if stored.dtype.itemsize == 2 else stored, np.uint8)
    if stored.ndim != 2 or stored.dtype.kind not in "iu" or not meaning.startswith("MONOCHROME"):
        raise UnreadableImageError(f"its pixels are {meaning}, {stored.dtype} {stored.shape}. Read are gray and colour")
    _take_first_frame(dataset)
    if modality := dataset.get("ModalityLUTSequence"):
        values = _looked_up(stored, modality[0], dataset)
    else:
        values = apply_modality_lut(stored, dataset)
    low, high = _range(dataset)
    if tables := dataset.get("VOILUTSequence"):
        low, high = 0, 2 ** int(tables[0].LUTDescriptor[2]) - 1
        values = _looked_up(values, tables[0], dataset)
    elif dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        values = apply_windowing(values, dataset, index=0)
    if not (np.isfinite(values).all() and np.isfinite(high - low) and high > low):
        raise UnreadableImageError(_NO_RANGE)
    pixels = np.asarray(np.rint((np.clip(values, low, high) - low) * (255 / (high - low))), np.uint8)
    return (255 - pixels if meaning == "MONOCHROME1" else pixels)[..., None]


def _take_first_frame(dataset: Any) -> None:
    """Lay what an enhanced file says of its first frame where other files say it, and pydicom looks."""
    groups = [items[0] for name in _GROUPS if (items := dataset.get(name))]
    for name, attributes in _OF_A_FRAME.items():
        said = next((items[0] for group in groups if (items := group.get(name))), None)
        if said is None:
            continue
        for attribute in attributes:
            dataset.pop(attribute, None)
            if attribute in said:
                dataset.add(said[attribute])


def _looked_up(values: NDArray[Any], table: Any, dataset: Any) -> NDArray[Any]:
    """Return what a table makes of pixels; those below it get its first entry, those above it the last.

    pydicom counts entries in as many bits as pixels or entries have: a table of bytes would begin anew every 256.
    """
    if not np.isfinite(values).all():
        raise UnreadableImageError(_NO_RANGE)
    count, first, bits = (int(number) for number in table.LUTDescriptor)
    count = count % 2**16 or 2**16  # 0 stands for 65,536: DICOM PS3.3, C.11.1.1.1
    entries = table.LUTData
    if isinstance(entries, bytes):
        entries = np.frombuffer(entries, "<u2" if dataset.original_encoding[1] else ">u2")
    entries = np.atleast_1d(np.asarray(entries, np.uint16))
    if bits == 8 and count > 1 and len(entries) == (count + 1) // 2:  # two in a word, the first in its low byte
        entries = entries.astype("<u2").view(np.uint8)
    index = np.clip(values.astype(np.float64) - first, 0, count - 1).astype(np.int64)
    return np.asarray(entries[index])


def _stored(dataset: Any) -> NDArray[Any]:
    from pydicom.pixels.utils import pixel_array

    try:
        return pixel_array(dataset, index=0)
    except (NotImplementedError, RuntimeError) as error:
        if "missing dependencies" not in str(error):
            raise
        compression = dataset.file_meta.TransferSyntaxUID.name
        raise UnreadableImageError(
            f"its compression, {compression}, needs another decoder. Install it: pip install 'pylibjpeg[all]'"
        ) from error


def _range(dataset: Any) -> tuple[float, float]:
    """Return what the stored bits can express, in the units that the modality table or rescale line gives."""
    if dataset.get("ModalityLUTSequence"):
        return 0, 2 ** int(dataset.ModalityLUTSequence[0].LUTDescriptor[2]) - 1
    bits = int(dataset.BitsStored)
    signed = int(dataset.get("PixelRepresentation", 0)) == 1
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    ends = (low * slope + intercept, high * slope + intercept)
    return min(ends), max(ends)
