"""The detector: a model file, ONNX Runtime and a threshold."""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nanoray.detecting import flags, heatmap, pose
from nanoray.detecting.guarantee import Guarantee, SourceWatch, find_guarantee
from nanoray.detecting.model_file import (
    EMBEDDING,
    INPUT,
    LOGIT,
    OUTPUTS,
    POSE,
    VIEW,
    open_model,
    packaged_model,
)
from nanoray.detecting.operating_point import OperatingPoint
from nanoray.detecting.prediction import (
    ABSTAINED,
    NOT_A_CHEST_RADIOGRAPH,
    NOT_SUSPECTED,
    NOT_UPRIGHT,
    SUSPECTED,
    UNSURE,
    Decision,
    Prediction,
    Result,
    Unread,
)
from nanoray.detecting.providers import EQUAL, execution_provider
from nanoray.detecting.statistics import Statistics, statistics_of
from nanoray.detecting.views import View, check_view, view_of
from nanoray.errors import ModelFileError, UnreadableError
from nanoray.reading import from_array, keep_memory, needed_side, read
from nanoray.reading.equalize import equalize_batch
from nanoray.reading.pool import Pool, read_many
from nanoray.reading.prepared import Reading, prepared
from nanoray.reading.radiograph import Radiograph
from nanoray.reading.unpacking import Unpacked


class Outputs(NamedTuple):
    """Outputs of the network for N squares.

    Attributes:
        logit: float32 [N].
        cam: float32 [N, h, w]; with the card's `cam_bias` added, the local evidence as logits.
        novelty: float32 [N].
        view: float32 [N], logit of AP against PA; None from models without this output.
        pose: float32 [N, 5], logits of the poses (`nanoray.detecting.pose`), or None.
    """

    logit: NDArray[np.float32]
    cam: NDArray[np.float32]
    novelty: NDArray[np.float32]
    view: NDArray[np.float32] | None = None
    pose: NDArray[np.float32] | None = None


class Detector:
    """A loaded model and the threshold of its decisions; thread-safe.

    Attributes:
        path: the model file.
        card: metadata stored in the model file.
        threshold: a calibrated probability from here upwards is "opacity suspected". Views with a
            separate calibration have separate thresholds.
        operating_point: the operating point of that threshold; None if a threshold was given.
        guarantee: the bound on missed opacities of the decisions; None without one.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        operating_point: str | None = None,
        threshold: float | None = None,
        guarantee: float | None = None,
        view: str | None = None,
        ignore_header: bool = False,
        exact: bool = False,
        threads: int = 1,
        provider: str = "cpu",
    ) -> None:
        """Load a model file; see `load`."""
        if operating_point is not None and threshold is not None:
            raise ValueError("give an operating point or a threshold, not both")
        if threshold is not None and not 0.0 <= threshold <= 1.0:
            raise ValueError(f"the threshold is a probability, 0 to 1, not {threshold}")
        self.path = packaged_model() if path is None else Path(path)
        self._session, self.card = open_model(
            self.path, threads=threads, provider=execution_provider(provider)
        )
        if provider != "cpu":
            self._compare_with_cpu(provider)
        keep_memory()
        self.operating_point: OperatingPoint | None = None
        if threshold is None:
            self.operating_point = self.card.operating_point(operating_point)
            threshold = self.operating_point.threshold
        self.threshold = float(threshold)
        self.guarantee: Guarantee | None = None
        if guarantee is not None:
            self.guarantee = find_guarantee(self.card.guarantees, guarantee)
        self._given_view = check_view(view)
        outputs = {value.name for value in self._session.get_outputs()}
        self._further = [name for name in (VIEW, POSE) if name in outputs]
        self._ignore_header = ignore_header
        self._exact = exact
        self._pose_limits = self.card.pose or pose.PoseLimits()
        self._has_embedding = EMBEDDING in outputs

    def __repr__(self) -> str:
        return f"Detector({self.card.name} {self.card.version}, threshold={self.threshold:.4g})"

    def infer(self, squares: NDArray[np.float32]) -> Outputs:
        """Run the network on float32 [N, 1, S, S] in 0..1, bright bone, padding 0."""
        logit, cam, novelty, *further = self._session.run(
            [*OUTPUTS, *self._further], {INPUT: self._prepared(squares)}
        )
        found = dict(zip(self._further, further, strict=True))
        return Outputs(
            logit.reshape(-1),
            cam.reshape(len(cam), *cam.shape[-2:]),
            novelty.ravel(),
            found[VIEW].ravel() if VIEW in found else None,
            found.get(POSE),
        )

    def _compare_with_cpu(self, provider: str) -> None:
        """Run four seeded squares on both and compare the logits."""
        side = self.card.input_size
        squares = np.random.default_rng(0).random((4, 1, side, side), np.float32)
        reference, _ = open_model(self.path)
        (own,), (cpu,) = (one.run([LOGIT], {INPUT: squares}) for one in (self._session, reference))
        difference = float(np.max(np.abs(own - cpu)))
        if not difference <= EQUAL:
            raise ModelFileError(
                f"{self.path}: on {provider} a logit differs by {difference:.3g} from the CPU's, "
                f"more than {EQUAL}: use --provider cpu"
            )

    def source_watch(self) -> SourceWatch | None:
        """Return a counter that detects a source for which the guarantee does not hold."""
        if self.guarantee is None:
            return None
        reference = self.card.reference
        return SourceWatch(
            self.guarantee, reference.quantiles.get("novelty") if reference else None
        )

    def _prepared(self, squares: NDArray[np.float32]) -> NDArray[np.float32]:
        return equalize_batch(squares) if self.card.equalize else squares

    def embed(
        self, source: str | os.PathLike[str] | bytes | bytearray | memoryview | NDArray[Any]
    ) -> NDArray[np.float32]:
        """Return the pooled features of one radiograph, float32 [F], as input of another model.

        Raises:
            ModelFileError: the model file has no output `embedding`.
            UnreadableError: the source is not a readable frontal radiograph.
        """
        if not self._has_embedding:
            raise ModelFileError(
                f"{self.path}: has no output 'embedding'; export the model with embeddings"
            )
        name, radiograph = self._read(source)
        square = prepared(name, radiograph, self.card.input_size, thumbnail=False).square
        assert square is not None
        (features,) = self._session.run([EMBEDDING], {INPUT: self._prepared(square[None, None])})
        return np.asarray(features, np.float32).reshape(-1)

    def probability(self, logit: float, view: View | None = None) -> float:
        """Return the calibrated probability of a logit, for a view if it is known."""
        return self.card.calibration(view).probability(logit)

    def predict(
        self,
        source: str | os.PathLike[str] | bytes | bytearray | memoryview | NDArray[Any],
        *,
        thumbnail: bool = False,
    ) -> Prediction:
        """Predict one radiograph.

        The file is read in this process. For untrusted files use `predict_many`, which reads in
        worker processes with limits on time and memory.

        Args:
            source: path of a file, its content, or an array of pixels with bright bone (see
                `nanoray.reading.from_array`).
            thumbnail: keep a small picture of the radiograph in the prediction.

        Raises:
            UnreadableError: the source is not a readable frontal radiograph.
        """
        start = perf_counter()
        name, radiograph = self._read(source)
        reading = prepared(name, radiograph, self.card.input_size, thumbnail=thumbnail)
        milliseconds = 1000.0 * (perf_counter() - start)
        reading = replace(reading, milliseconds=milliseconds)
        (result,) = self.judge([reading])
        assert isinstance(result, Prediction)
        return result

    def _read(
        self, source: str | os.PathLike[str] | bytes | bytearray | memoryview | NDArray[Any]
    ) -> tuple[str, Radiograph]:
        """Read a source in this process: its name and its radiograph."""
        if isinstance(source, np.ndarray):
            return "<array>", from_array(source)
        name = os.fsdecode(source) if isinstance(source, (str, os.PathLike)) else "<bytes>"
        # Like `read_many`, so that both return the same.
        side = None if self._exact else needed_side(self.card.input_size)
        return name, read(source, min_side=side)

    def predict_many(
        self,
        sources: Iterable[str | os.PathLike[str] | Unpacked],
        *,
        workers: int | None = None,
        timeout: float = 30.0,
        thumbnails: bool = False,
        fingerprints: bool = False,
        hash_key: bytes | None = None,
        pool: Pool | None = None,
    ) -> Iterator[Result]:
        """Predict many files, as a stream in their order.

        Worker processes read a few files ahead of the network, so memory does not grow with the
        number of files. A file that crashes or hangs a decoder affects no other file.

        Args:
            sources: paths or unpacked files; taken a few ahead.
            workers: number of reading processes; the default depends on the machine.
            timeout: seconds after which reading a file is stopped.
            thumbnails: keep a small picture of each radiograph in its prediction.
            fingerprints, hash_key, pool: see `nanoray.reading.pool.read_many`.

        Yields:
            `Prediction`, or `Unread` with the reason for a file that could not be read.
        """
        readings = read_many(
            sources,
            self.card.input_size,
            workers=workers,
            timeout=timeout,
            thumbnails=thumbnails,
            fingerprints=fingerprints,
            hash_key=hash_key,
            pool=pool,
            exact=self._exact,
        )
        try:
            for reading in readings:
                yield from self.judge([reading])
        finally:
            # End the reading processes now if the caller stops early.
            if isinstance(readings, Generator):
                readings.close()

    def judge(self, readings: Sequence[Reading]) -> list[Result]:
        """Predict read files by one run of the network, in their order."""
        start = perf_counter()
        # Squares are stacked in this order; unreadable files have none.
        read_ones = [reading for reading in readings if reading.square is not None]
        if not read_ones:
            return [self._unread(reading) for reading in readings]
        rows = _rows(self._infer(read_ones), len(read_ones))
        judged = self._set_right(list(zip(read_ones, rows, strict=True)))
        milliseconds = 1000.0 * (perf_counter() - start) / len(read_ones)
        results: list[Result] = []
        remaining = iter(judged)
        for reading in readings:
            if reading.square is None:
                results.append(self._unread(reading))
                continue
            seen, outputs, found = next(remaining)
            assert seen.square is not None
            assert seen.placement is not None
            statistics = statistics_of(seen.square, seen.placement)
            results.append(self._decide(seen, outputs, statistics, milliseconds, found))
        return results

    def _infer(self, readings: Sequence[Reading]) -> Outputs:
        squares = [reading.square for reading in readings if reading.square is not None]
        # A single square is not copied.
        batch = squares[0][None] if len(squares) == 1 else np.stack(squares)
        return self.infer(batch[:, None])

    def _set_right(
        self, judged: list[tuple[Reading, Outputs]]
    ) -> list[tuple[Reading, Outputs, int | None]]:
        """Correct radiographs that are surely turned or inverted, and predict them again.

        The third value of each is the corrected pose; None without a correction.
        """
        poses = [
            None if outputs.pose is None else pose.to_correct(outputs.pose[0], self._pose_limits)
            for _, outputs in judged
        ]
        wrong = [
            pose.corrected(reading, found)
            for (reading, _), found in zip(judged, poses, strict=True)
            if found is not None
        ]
        rows = _rows(self._infer(wrong), len(wrong)) if wrong else []
        again = iter(zip(wrong, rows, strict=True))
        return [
            (reading, outputs, None) if found is None else (*next(again), found)
            for (reading, outputs), found in zip(judged, poses, strict=True)
        ]

    @staticmethod
    def _unread(reading: Reading) -> Unread:
        error = reading.error or UnreadableError(
            reading.source, "unreadable", "the file could not be read"
        )
        return Unread(reading.source, error, reading.milliseconds, reading.fingerprint)

    def _decide(
        self,
        reading: Reading,
        outputs: Outputs,
        statistics: Statistics,
        milliseconds: float,
        corrected: int | None,
    ) -> Prediction:
        place, facts = reading.placement, reading.facts
        assert place is not None
        assert facts is not None
        logit, novelty = float(outputs.logit[0]), float(outputs.novelty[0])
        view, view_source = view_of(
            facts.view, None if outputs.view is None else float(outputs.view[0]), self._given_view
        )
        calibration = self.card.calibration(view)
        probability = calibration.probability(logit)
        threshold = self.threshold
        if self.operating_point is not None:
            threshold = calibration.operating_point(self.operating_point.name).threshold
        raised = flags.find(
            facts,
            reading.contrast,
            turned=corrected in pose.TURNED,
            inverted=corrected == pose.NEGATIVE,
        )
        reason = self._reason_to_abstain(outputs, raised)
        decision: Decision = ABSTAINED
        if reason is None:
            decision = SUSPECTED if probability >= threshold else NOT_SUSPECTED
        if (
            decision == NOT_SUSPECTED
            and self.guarantee is not None
            and not self.guarantee.clear(probability, novelty, view)
        ):
            decision = UNSURE
        evidence = outputs.cam[0] + np.float32(self.card.cam_bias + calibration.shift)
        local = 0.5 * (1.0 + np.tanh(0.5 * evidence / np.float32(calibration.temperature)))
        return Prediction(
            source=reading.source,
            probability=probability,
            decision=decision,
            reason=reason,
            threshold=threshold,
            operating_point=self.operating_point.name if self.operating_point else None,
            logit=logit,
            novelty=novelty,
            heatmap=heatmap.in_frame(heatmap.crop(local.astype(np.float32), place), reading.crop),
            flags=raised,
            model=self.card.name,
            model_version=self.card.version,
            facts=facts,
            read_milliseconds=reading.milliseconds,
            infer_milliseconds=milliseconds,
            thumbnail=reading.thumbnail,
            statistics=statistics,
            fingerprint=reading.fingerprint,
            view=view,
            view_source=view_source,
            guarantee=None if self.guarantee is None else self.guarantee.level,
            clear_below=None if self.guarantee is None else self.guarantee.threshold(view),
            prevalence=calibration.prevalence,
        )

    def _reason_to_abstain(self, outputs: Outputs, raised: Sequence[str]) -> str | None:
        """Return the reason for abstaining; None for a decision."""
        stated = [flags.WORDS[flag] for flag in flags.NOT_FRONTAL_CHEST if flag in raised]
        if stated and not self._ignore_header:
            return f"the header states: {', '.join(stated)}"
        logit, novelty = float(outputs.logit[0]), float(outputs.novelty[0])
        # The comparisons also abstain if novelty, logit or pose is not a number.
        if not (novelty <= self.card.novelty_limit and math.isfinite(logit)):
            raw = "for-processing" in raised
            return flags.WORDS["for-processing"] if raw else NOT_A_CHEST_RADIOGRAPH
        if outputs.pose is not None and not pose.is_upright(outputs.pose[0], self._pose_limits):
            return NOT_UPRIGHT
        return None


def _rows(outputs: Outputs, count: int) -> list[Outputs]:
    """Return the outputs of each radiograph of a batch."""
    found = []
    for row in range(count):
        of = slice(row, row + 1)
        view = None if outputs.view is None else outputs.view[of]
        poses = None if outputs.pose is None else outputs.pose[of]
        found.append(Outputs(outputs.logit[of], outputs.cam[of], outputs.novelty[of], view, poses))
    return found


def load(
    path: str | os.PathLike[str] | None = None,
    *,
    operating_point: str | None = None,
    threshold: float | None = None,
    guarantee: float | None = None,
    view: str | None = None,
    ignore_header: bool = False,
    exact: bool = False,
    threads: int = 1,
    provider: str = "cpu",
) -> Detector:
    """Load a detector.

    Args:
        path: a NanoRay model file; the default is the packaged model.
        operating_point: name of one of the model's operating points; None for its default.
        threshold: on the calibrated probability, 0..1, instead of an operating point.
        guarantee: largest share of patients with an opacity that may be called clear, for example
            0.05. A radiograph that is neither suspected nor clear is then "unsure".
        view: "AP" or "PA", for radiographs whose header has no View Position.
        ignore_header: decide although the header states a lateral or oblique view, another body
            part or another modality.
        exact: decode a JPEG or JPEG 2000 fully, not only as far as the network's square needs.
        threads: threads of ONNX Runtime for one image.
        provider: "cpu", "cuda", "openvino", "coreml" or "directml", if ONNX Runtime has it. Its
            logits on four drawn squares must agree with the CPU's within 0.02.

    Raises:
        ModelFileError: the file is missing, or this version cannot use it.
        ValueError: an unknown operating point, guarantee, view or provider, or a threshold outside
            0..1.
    """
    return Detector(
        path,
        operating_point=operating_point,
        threshold=threshold,
        guarantee=guarantee,
        view=view,
        ignore_header=ignore_header,
        exact=exact,
        threads=threads,
        provider=provider,
    )
