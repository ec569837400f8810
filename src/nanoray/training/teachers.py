"""Outputs of teachers for the training radiographs, cached in run folders."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nanoray.datasets.folder import Case
from nanoray.datasets.images import Squares, load_squares
from nanoray.datasets.labelled import SPLIT, LabelledData
from nanoray.datasets.splits import read_published
from nanoray.detecting.model_file import read_card
from nanoray.errors import DataSetError
from nanoray.training.networks import Network, load_weights
from nanoray.training.run_folder import WEIGHTS, load_run
from nanoray.training.samples import GRID, TeacherOutputs


def teacher_outputs(
    teachers: Sequence[Path],
    cases: Sequence[Case],
    chosen: Sequence[int],
    name: str,
    cache: Path,
    *,
    show_progress: bool = True,
) -> TeacherOutputs:
    """Return the outputs of one teacher, or of several together, for the `chosen` cases.

    Logits and class-activation maps of several teachers are averaged, their features concatenated.
    The outputs are computed without augmentation. The maps must be augmented like the images;
    logits and features are used for every augmentation (a "fixed teacher", Beyer et al. 2022).
    `Teachers` are not fixed.

    Args:
        teachers: finished runs or FP32 model files (`.onnx`), at least one.
        name: of the data set; it is part of the file name in the teacher's folder.
        cache: folder of prepared images, and of the outputs of model files.
    """
    found = []
    for teacher in teachers:
        weights = _weights_of(teacher)
        key = hashlib.sha256(weights.read_bytes())
        key.update("\n".join(_name(cases[index]) for index in chosen).encode())
        kept = teacher if teacher.is_dir() else cache
        saved = kept / f"outputs-{name}-{key.hexdigest()[:12]}.npz"
        if not saved.is_file():
            network, size, precision = _open(teacher)
            squares = load_squares(cases, size, cache, show_progress=show_progress)
            outputs = run_network(network, squares, chosen, precision=precision)
            partial = saved.with_suffix(".partial.npz")
            np.savez(partial, logit=outputs.logit, features=outputs.features, cam=outputs.cam)
            partial.replace(saved)
        with np.load(saved) as arrays:
            found.append(TeacherOutputs(arrays["logit"], arrays["features"], arrays["cam"]))
    return joined(found)


def _weights_of(teacher: Path) -> Path:
    weights = teacher / WEIGHTS if teacher.is_dir() else teacher
    if not weights.is_file():
        raise DataSetError(f"{teacher}: neither a finished run nor a model file")
    return weights


def _name(case: Case) -> str:
    return case.path.name if case.aspect is None else f"{case.path.name} {case.aspect!r}"


def _open(teacher: Path) -> tuple[Network, int, str]:
    """Load the network, the side of its input, and the precision of a run or a model file."""
    _weights_of(teacher)
    if teacher.is_dir():
        network, settings = load_run(teacher)
        return network, settings.size, settings.precision
    return load_weights(teacher), read_card(teacher).input_size, "32-true"


def joined(found: Sequence[TeacherOutputs]) -> TeacherOutputs:
    """Combine several teachers: the mean of logits and maps, the features concatenated."""
    if len(found) == 1:
        return found[0]
    return TeacherOutputs(
        np.mean([one.logit for one in found], 0),
        # Features of different networks differ in scale.
        np.concatenate([_unit(one.features) for one in found], 1),
        np.stack([one.cam for one in found]).mean(0, np.float32).astype(np.float16),
    )


def _unit(features: NDArray[np.float16]) -> NDArray[np.float16]:
    lengths = np.linalg.norm(features.astype(np.float32), axis=1).mean()
    scaled: NDArray[np.float16] = (features / max(lengths, 1e-6)).astype(np.float16)
    return scaled


@torch.inference_mode()
def run_network(
    network: Network,
    squares: Squares,
    chosen: Sequence[int],
    *,
    batch_size: int = 32,
    precision: str = "32-true",
) -> TeacherOutputs:
    """Run a network on some of the uint8 [N, S, S] squares, on a GPU if there is one.

    `precision`: "bf16..." computes in bfloat16.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    half = torch.autocast(device, torch.bfloat16, enabled=precision.startswith("bf16"))
    logits, features, cams = [], [], []
    for first in range(0, len(chosen), batch_size):
        images = torch.from_numpy(squares[list(chosen[first : first + batch_size])])[:, None]
        with half:
            outputs = network(network.prepare(images.to(device)))
        logits.append(outputs.logit[:, 0].float().cpu().numpy())
        features.append(outputs.features.float().mean((2, 3)).half().cpu().numpy())
        cams.append(_on_grid(outputs.cam)[:, 0].half().cpu().numpy())
    return TeacherOutputs(np.concatenate(logits), np.concatenate(features), np.concatenate(cams))


class Teachers:
    """Teachers that see the same augmented pictures as the student (Beyer et al. 2022).

    They are not a module, so a learner neither trains nor saves them.

    Attributes:
        width: number of features of all teachers together.
    """

    def __init__(self, paths: Sequence[Path], *, equalized: bool) -> None:
        """Load finished runs or FP32 model files (`.onnx`), at least one.

        Args:
            equalized: whether the student's pictures are equalised.

        Raises:
            DataSetError: a teacher needs the other kind of pictures.
        """
        self._opened = [_open(path) for path in paths]
        for path, (network, _, _) in zip(paths, self._opened, strict=True):
            if network.options.equalize != equalized:
                raise DataSetError(
                    f"{path}: a teacher of augmented pictures needs the student's equalize"
                )
            network.eval().requires_grad_(False)
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.width = sum(network.width for network, _, _ in self._opened)

    def to(self, device: torch.device) -> None:
        """Move the networks to a device."""
        for network, _, _ in self._opened:
            network.to(device)

    @torch.no_grad()
    def answer(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the mean logit [N], the joined features [N, width] and the mean map [N, 1, G, G].

        Args:
            images: float32 [N, 1, S, S], augmented and, if the teachers need it, equalised. They
                are resampled to the size of each teacher.
        """
        logits, features, maps = [], [], []
        for network, size, precision in self._opened:
            squares = functional.interpolate(
                images, (size, size), mode="bilinear", antialias=True, align_corners=False
            )
            half = precision.startswith("bf16")
            with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
                outputs = network(squares)
            logits.append(outputs.logit[:, 0].float())
            pooled = outputs.features.float().mean((2, 3))
            features.append(pooled / pooled.norm(dim=1).mean().clamp(min=1e-6))
            maps.append(_on_grid(outputs.cam))
        return torch.stack(logits).mean(0), torch.cat(features, 1), torch.stack(maps).mean(0)

    def placeholder(self, count: int) -> TeacherOutputs:
        """Return outputs for `count` cases that `answer` replaces."""
        return TeacherOutputs.empty(count, self.width, 0.0)


def _on_grid(cam: Tensor) -> Tensor:
    return functional.interpolate(cam.float(), (GRID, GRID), mode="bilinear", align_corners=False)


def refuse_leaks(runs: Sequence[Path], data: LabelledData) -> None:
    """Refuse earlier runs that were trained on patients of the validation or test part.

    Args:
        runs: teachers, and the run with the starting weights. The training patients of a model file
            are unknown, so it causes a warning.

    Raises:
        DataSetError: a run was trained on such a patient.
    """
    patient_of = {case.path.stem: case.patient for case in data.cases}
    held_out = [data.cases[index] for index in data.split.validation + data.split.test]
    images = {case.path.stem for case in held_out}
    patients = {case.patient for case in held_out}
    for run in runs:
        path = run / SPLIT
        if not path.is_file():
            if run.is_file():
                warnings.warn(
                    f"{run.name}: the training patients of a model file are unknown; if "
                    "they are in the validation or test part, its figures are too good",
                    stacklevel=2,
                )
            continue
        learned = {image for image, part in read_published(path).items() if part == "train"}
        shared = {
            image for image in learned if image in images or patient_of.get(image) in patients
        }
        if shared:
            raise DataSetError(
                f"{run}: was trained on {len(shared)} images of patients in this validation or "
                f"test part; give its own split by --split {path}"
            )
