"""What a classifier says about images: of one, of many, of the most similar; and files of it. Needs no Keras."""

from imgcls.predictions._answers import Answers
from imgcls.predictions._prediction import Prediction
from imgcls.predictions._predictions import Predictions
from imgcls.predictions._rows import Rows
from imgcls.predictions._similar import Similar

__all__ = ["Answers", "Prediction", "Predictions", "Rows", "Similar"]
