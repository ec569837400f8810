"""The commands of `nanoray`: module, required extra, and one line of help.

`nanoray --help` shows this table without importing a command. A command's module is imported when
the command runs, so its imports are at the top.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from inspect import cleandoc
from typing import Any, Final

import typer
from typer.main import get_command, get_group

from nanoray.commands.extras import require_extra

USE: Final = "Use"
DATA: Final = "Data and training"
RESULTS: Final = "Results"
SITE: Final = "At a site"


@dataclass(frozen=True, slots=True)
class Command:
    """A command before its import.

    Attributes:
        panel: section of `nanoray --help`.
        place: module below `nanoray.commands` and the function, or the Typer application, in it.
        help: first line of its help.
        extra: the extra that its module needs.
    """

    panel: str
    place: str
    help: str
    extra: str | None = None

    def load(self, name: str) -> Any:
        """Import the command under this name.

        Raises:
            MissingExtraError: a package of its extra is not installed.
        """
        if self.extra is not None:
            require_extra(self.extra)
        module, _, attribute = self.place.partition(":")
        found = getattr(import_module(f"nanoray.commands.{module}"), attribute)
        if isinstance(found, typer.Typer):
            loaded: Any = get_group(found)
        else:
            alone = typer.Typer(add_completion=False)
            alone.command(name)(found)
            loaded = get_command(alone)
        # The docstring provides the paragraphs after the table's line.
        _, *paragraphs = cleandoc(loaded.help or "").split("\n\n")
        loaded.help = "\n\n".join([self.help, *paragraphs])
        return loaded


COMMANDS: Final = {
    "predict": Command(
        USE,
        "predict:predict",
        "Screen radiographs: probability, decision, quality flags and heat maps.",
    ),
    "screen": Command(
        USE,
        "screen:screen",
        "Screen an archive: a Parquet row for every file, and a summary page.",
        "scale",
    ),
    "inspect": Command(
        USE,
        "inspect:inspect",
        "Show the steps from a file to the network's input.",
    ),
    "info": Command(USE, "info:info", "Print the model card from a model file's metadata."),
    "serve": Command(
        USE,
        "serve:serve",
        "Serve screening over HTTP, with a worklist page, and as a DICOM node.",
        "serve",
    ),
    "keys": Command(USE, "keys:app", "Make, list and revoke API keys of `nanoray serve`.", "serve"),
    "store": Command(
        USE, "store:app", "Move or repair the database and files of `nanoray serve`.", "serve"
    ),
    "conformance": Command(
        USE, "conformance:conformance", "Print the DICOM Conformance Statement.", "serve"
    ),
    "watch": Command(
        USE,
        "watch:watch",
        "Screen each new radiograph of a folder once, as it arrives: CSV, JSON, DICOM SR.",
    ),
    "phantom": Command(
        DATA,
        "phantom:phantom",
        "Draw synthetic chest radiographs as DICOM with labels.csv, for tests and tutorials.",
    ),
    "prepare": Command(
        DATA,
        "prepare:app",
        "Prepare a data set: 8-bit images and a split by patient; or verify one.",
    ),
    "train": Command(DATA, "train:app", "Train a network on labelled radiographs.", "train"),
    "distill": Command(
        DATA,
        "train:distill",
        "Train the small network on a teacher's outputs and the labels.",
        "train",
    ),
    "quantize": Command(
        DATA,
        "quantize:quantize",
        "Export a run as FP32 and INT8 ONNX, calibrated on its validation part.",
        "train",
    ),
    "export": Command(
        DATA,
        "export:export",
        "Export a model file: ONNX, OpenVINO, ncnn, LiteRT, ExecuTorch, Core ML or a C header.",
    ),
    "reproduce": Command(
        DATA,
        "reproduce:reproduce",
        "Prepare, train, distil, quantize and evaluate with one command.",
        "train",
    ),
    "evaluate": Command(
        RESULTS,
        "evaluate:evaluate",
        "Evaluate model files on the same images: figures with intervals, tests, a report.",
        "evaluate",
    ),
    "compare": Command(
        RESULTS,
        "compare:compare",
        "Test every pair of the models of several evaluations.",
        "evaluate",
    ),
    "crossvalidate": Command(
        RESULTS,
        "crossvalidate:crossvalidate",
        "Cross-validate recipes by patient, and compare them with paired intervals.",
        "train",
    ),
    "benchmark": Command(
        RESULTS,
        "benchmark:benchmark",
        "Compare the installed runtimes: equality, latency, memory and size.",
        "evaluate",
    ),
    "guarantee": Command(
        RESULTS,
        "guarantee:guarantee",
        "Set thresholds by view and bounds on missed opacities from held-out scores.",
        "evaluate",
    ),
    "check": Command(
        SITE,
        "check:check",
        "Check whether the detector fits a site: images, drift and, with labels, accuracy.",
        "evaluate",
    ),
    "drift": Command(
        SITE, "drift:drift", "Compare screened radiographs with a reference period.", "scale"
    ),
    "calibrate": Command(
        SITE,
        "calibrate:calibrate",
        "Refit temperature and operating points to labelled radiographs of a site.",
        "calibrate",
    ),
    "labels": Command(
        SITE, "labels:labels", "Write the worklist's reviews as labels for calibrate.", "serve"
    ),
}
