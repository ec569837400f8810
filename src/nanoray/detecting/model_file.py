"""The model file: one ONNX graph, with the model card in its metadata.

The input is `radiograph` float32 [N, 1, S, S] in 0..1 (bright bone, padding 0). The outputs are
`logit` float32 [N, 1]; `cam` float32 [N, 1, h, w], the local evidence that is pooled to the logit;
and `novelty` float32 [N, 1], the distance from the training radiographs. Optional outputs are
`view` float32 [N, 1], the logit of AP against PA; `pose` float32 [N, 5], logits of `POSES`; and
`embedding` float32 [N, F], pooled features. The card is one JSON document under the metadata key
"nanoray".
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from nanoray.detecting.guarantee import Guarantee
from nanoray.detecting.operating_point import OperatingPoint
from nanoray.detecting.pose import PoseLimits
from nanoray.detecting.views import Calibration
from nanoray.errors import ModelFileError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

METADATA_KEY = "nanoray"
FORMAT = 1
# Names of the graph's input and outputs. The last three are not in every file.
INPUT: Final = "radiograph"
LOGIT: Final = "logit"
CAM: Final = "cam"
NOVELTY: Final = "novelty"
EMBEDDING: Final = "embedding"
VIEW: Final = "view"
POSE: Final = "pose"
OUTPUTS: Final = (LOGIT, CAM, NOVELTY)
POSES = ("upright", "turned 90", "turned 180", "turned 270", "negative")
"""Classes of the output `pose`; turned counter-clockwise, degrees."""
NOTICE = "Research use only. Not a medical device; not for diagnosis or treatment."
PACKAGED = "nanoray-student-int8.onnx"

Pooling = Literal["mean", "lse"]


@dataclass(frozen=True, slots=True)
class Reference:
    """The distribution of a model's validation images.

    Attributes:
        count: number of images.
        quantiles: "probability", "novelty" and the image statistics ("brightness", "contrast",
            "sharpness") to their quantiles at equally spaced levels from 0 to 1.
    """

    count: int
    quantiles: dict[str, tuple[float, ...]]

    @classmethod
    def from_values(cls, values: dict[str, Any] | None) -> Reference | None:
        """Build from values of JSON."""
        if values is None:
            return None
        return cls(values["count"], {k: tuple(v) for k, v in values["quantiles"].items()})


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Metadata stored in a model file.

    Attributes:
        name, version, date: of the model; the date is ISO 8601.
        architecture: the network's timm name, for example "mobilenetv3_small_100".
        precision: "fp32" or "int8".
        input_size: S, side of the square input in pixels.
        target: description of the finding.
        temperature: the calibrated probability is sigmoid(logit / temperature)
            (Guo et al. 2017, "On calibration of modern neural networks").
        cam_bias: `cam` plus this is the local evidence, in logits; its pooling is the logit.
        equalize: the square is equalised before the graph (`nanoray.reading.equalize`).
        pooling: of the local evidence to the logit: "mean", or "lse", log-mean-exp with the
            sharpness `pooling_sharpness` (Pinheiro and Collobert 2015, "From image-level to
            pixel-level labeling with convolutional networks").
        prevalence: share of positive cases to which the probabilities are calibrated; None: that of
            the validation images.
        operating_points: named thresholds, in the order screening, balanced, confirm.
        default_operating_point: the operating point used by default.
        novelty_limit: above it the detector abstains.
        training_data, licence, notice, command: provenance.
        metrics: name to [value, low, high] on the test images (95 % bootstrap interval).
        reference: statistics of the validation images, to compare archives with; None in older
            model files.
        views: calibration and operating points of single views; empty if all views share one.
        guarantees: bounds on missed opacities, by rising level; empty in older model files.
        pose: limits on the output `pose`; None for the defaults, or without that output.
    """

    name: str
    version: str
    date: str
    architecture: str
    precision: str
    input_size: int
    target: str
    temperature: float
    cam_bias: float
    operating_points: tuple[OperatingPoint, ...]
    default_operating_point: str
    novelty_limit: float
    training_data: str
    licence: str
    command: str
    notice: str = NOTICE
    metrics: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    reference: Reference | None = None
    prevalence: float | None = None
    views: tuple[Calibration, ...] = ()
    guarantees: tuple[Guarantee, ...] = ()
    equalize: bool = False
    pooling: Pooling = "mean"
    pooling_sharpness: float = 1.0
    pose: PoseLimits | None = None
    format: int = FORMAT

    def calibration(self, view: str | None = None) -> Calibration:
        """Return the calibration of a view, or that of all views if the view has none."""
        for calibration in self.views:
            if view is not None and calibration.view == view:
                return calibration
        return Calibration(None, self.temperature, 0.0, self.prevalence, self.operating_points)

    def operating_point(self, name: str | None = None) -> OperatingPoint:
        """Return the operating point called `name` (the default one for None).

        Raises:
            ValueError: unknown operating point.
        """
        wanted = name or self.default_operating_point
        for point in self.operating_points:
            if point.name == wanted:
                return point
        names = ", ".join(point.name for point in self.operating_points)
        raise ValueError(f"no operating point {wanted!r}; this model has {names}")

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Read a card.

        Raises:
            ModelFileError: the text is not a card, or has a later version of the format.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            if values["format"] > FORMAT:
                raise ModelFileError(
                    f"the model file has format {values['format']}; this nanoray reads up to "
                    f"{FORMAT}: upgrade nanoray"
                )
            points = tuple(
                OperatingPoint.from_values(point) for point in values.pop("operating_points")
            )
            views = tuple(Calibration.from_values(view) for view in values.pop("views", ()))
            guarantees = tuple(Guarantee.from_values(one) for one in values.pop("guarantees", ()))
            metrics = {k: tuple(v) for k, v in values.pop("metrics", {}).items()}
            reference = Reference.from_values(values.pop("reference", None))
            pose = PoseLimits.from_values(values.pop("pose", None))
            # Later releases of the same format may add fields; they are ignored.
            known = {one.name for one in fields(cls)}
            return cls(
                operating_points=points,
                metrics=metrics,
                reference=reference,
                views=views,
                guarantees=guarantees,
                pose=pose,
                **{name: value for name, value in values.items() if name in known},
            )
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise ModelFileError(
                f"the model card in the file's metadata is damaged: {error!r}"
            ) from error


def packaged_model() -> Path:
    """Return the path of the packaged model."""
    return Path(str(files("nanoray.detecting") / "models" / PACKAGED))


def open_model(
    path: str | os.PathLike[str],
    *,
    threads: int = 1,
    optimise: bool = True,
    provider: str = "CPUExecutionProvider",
) -> tuple[InferenceSession, ModelCard]:
    """Open a model file for inference.

    Args:
        path: the model file.
        threads: number of threads for one batch.
        optimise: let ONNX Runtime optimise the graph; not needed to read the card.
        provider: ONNX Runtime's name of the provider; operators that it lacks run on the CPU.

    Raises:
        ModelFileError: no such file, not an ONNX model, or not a NanoRay model.
    """
    import onnxruntime as ort

    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"{path}: no such model file")
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Waiting threads must sleep, because the reading processes need the cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        providers = list(dict.fromkeys([provider, "CPUExecutionProvider"]))
        session = ort.InferenceSession(str(path), options, providers=providers)
    except Exception as error:
        # ONNX Runtime raises unrelated classes for a damaged file; all have the same meaning here.
        raise ModelFileError(f"{path}: not a model that ONNX Runtime can load") from error
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise ModelFileError(f"{path}: an ONNX model, but not one of NanoRay's: it has no card")
    try:
        card = ModelCard.from_json(text)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error
    inputs = [value.name for value in session.get_inputs()]
    outputs = {value.name for value in session.get_outputs()}
    if inputs != [INPUT] or not outputs.issuperset(OUTPUTS):
        raise ModelFileError(
            f"{path}: the graph must take {INPUT!r} and give {', '.join(map(repr, OUTPUTS))}"
        )
    return session, card


def read_card(path: str | os.PathLike[str] | None = None) -> ModelCard:
    """Return the model card of a model file; of the packaged model by default.

    Raises:
        ModelFileError: no such file, not an ONNX model, or not a NanoRay model.
    """
    return open_model(packaged_model() if path is None else path, optimise=False)[1]
