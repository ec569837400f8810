"""Detecting: from a radiograph to a probability, a decision and a heat map."""

from nanoray.detecting.detector import Detector, Outputs, load
from nanoray.detecting.model_file import ModelCard, read_card
from nanoray.detecting.operating_point import OperatingPoint
from nanoray.detecting.prediction import Prediction, Result, Unread

__all__ = [
    "Detector",
    "ModelCard",
    "OperatingPoint",
    "Outputs",
    "Prediction",
    "Result",
    "Unread",
    "load",
    "read_card",
]
