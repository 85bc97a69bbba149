"""Make the bundle of this version for the corpus: one file a released version, kept for ever.

python tests/bundles/make.py
"""

from pathlib import Path

import imgcls

digits = imgcls.Dataset.builtin("digits")
classifier = imgcls.ImageClassifier("small_cnn", image_size=8, epochs=8, seed=0)
classifier.fit(digits[:400], validation_data=digits[400:460], verbose=0)
classifier.save(Path(__file__).parent / f"{imgcls.__version__}.imgcls", license="Apache-2.0")
