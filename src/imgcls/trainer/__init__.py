"""Training: a loop of our own over one compiled step, for any `keras.Model` that takes pixels 0-255."""

from imgcls._progress import VERBOSE, ProgressReport
from imgcls.trainer._arguments import check_arguments
from imgcls.trainer._embed import Embedded, embed
from imgcls.trainer._finder import LearningRateCurve
from imgcls.trainer._forecast import ClassForecast, Forecast, forecast
from imgcls.trainer._history import History
from imgcls.trainer._lr_find import lr_find
from imgcls.trainer._muon import Muon
from imgcls.trainer._objective import Objective, objective
from imgcls.trainer._optimizers import optimizer
from imgcls.trainer._plan import Plan, choose_devices, plan
from imgcls.trainer._probe import Probe, solve
from imgcls.trainer._recipe import Choice, class_weights, recipe
from imgcls.trainer._schedules import SCHEDULES, factor
from imgcls.trainer._train import train
from imgcls.trainer._transfer import Transfer, transfer

__all__ = [
    "SCHEDULES",
    "VERBOSE",
    "Choice",
    "ClassForecast",
    "Embedded",
    "Forecast",
    "History",
    "LearningRateCurve",
    "Muon",
    "Objective",
    "Plan",
    "Probe",
    "ProgressReport",
    "Transfer",
    "check_arguments",
    "choose_devices",
    "class_weights",
    "embed",
    "factor",
    "forecast",
    "lr_find",
    "objective",
    "optimizer",
    "plan",
    "recipe",
    "solve",
    "train",
    "transfer",
]
