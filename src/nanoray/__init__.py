"""NanoRay: a small detector of pneumonia-like opacities on chest radiographs. Research use only.

    import nanoray

    detector = nanoray.load()
    prediction = detector.predict("radiograph.dcm")
    print(prediction.probability, prediction.decision)

Attributes are loaded on first use, so `import nanoray` takes little time.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from nanoray.version import __version__

# ONNX Runtime 1.32's wheels for Linux keep a device number in the home folder and send usage events
# to their maker. The variable is read when the library is loaded, before a session could disable
# the events.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from nanoray.detecting.detector import Detector, load
    from nanoray.detecting.model_file import NOTICE, ModelCard, read_card
    from nanoray.detecting.operating_point import OperatingPoint
    from nanoray.detecting.prediction import Prediction, Result, Unread
    from nanoray.errors import MissingExtraError, ModelFileError, NanoRayError, UnreadableError
    from nanoray.reading import Facts, Radiograph, read

__all__ = [
    "NOTICE",
    "Detector",
    "Facts",
    "MissingExtraError",
    "ModelCard",
    "ModelFileError",
    "NanoRayError",
    "OperatingPoint",
    "Prediction",
    "Radiograph",
    "Result",
    "Unread",
    "UnreadableError",
    "__version__",
    "load",
    "read",
    "read_card",
]

_HOMES = {
    "nanoray.detecting.detector": ("Detector", "load"),
    "nanoray.detecting.model_file": ("NOTICE", "ModelCard", "read_card"),
    "nanoray.detecting.operating_point": ("OperatingPoint",),
    "nanoray.detecting.prediction": ("Prediction", "Result", "Unread"),
    "nanoray.errors": ("MissingExtraError", "ModelFileError", "NanoRayError", "UnreadableError"),
    "nanoray.reading": ("Facts", "Radiograph", "read"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
