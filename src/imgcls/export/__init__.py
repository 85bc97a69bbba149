"""Write a classifier for other programs, and prove that it still answers the same.

An export takes pixels `uint8 (N, H, W, C)`, 0-255, and gives probabilities `float32 (N, K)`: scaling is inside, class
names travel with it. Before it stands where it was asked for, it is opened by its own runtime, run on golden images and
on yours, and compared. TensorFlow is needed to write one; ONNX, LiteRT and OpenVINO files are read without it.
"""

from imgcls.export._certificate import Certificate, Golden
from imgcls.export._export import export, stratified
from imgcls.export._exported_model import ExportedModel
from imgcls.export._facts import Facts
from imgcls.export._formats import FORMATS, QUANTIZATIONS

__all__ = ["FORMATS", "QUANTIZATIONS", "Certificate", "ExportedModel", "Facts", "Golden", "export", "stratified"]
