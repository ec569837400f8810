"""A recipe as a YAML file: the training runs that make a model, in order.

    name: distilled
    data: rsna                       # data set, below the folder of data sets
    steps:
      teacher:
        settings: {role: teacher, size: 224, keep: last}    # fields of `Settings`
        weights: resnet50.safetensors                       # below the folder of weights
        extras: [rsna_lungs]                                # below the folder of data sets
      student:
        settings: {role: student, size: 256}
        start: teacher                                      # an earlier step
        teachers: [teacher]                                 # earlier steps
    split: {column: publisher, value: challenge-mix, folds: 10}    # optional, see `HeldOut`
    package:
      step: student
      quantize: {prevalence: 0.225}                         # arguments of `package_run`

Settings that a step omits have the defaults of its role. Besides `settings` a step may have any
field of `Sources`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import yaml

from nanoray.datasets.folder import read_folder, select
from nanoray.datasets.labelled import LabelledData, open_labelled
from nanoray.datasets.splits import split_into_folds
from nanoray.errors import DataSetError
from nanoray.training.networks import check_architecture
from nanoray.training.recipe import Sources, train
from nanoray.training.settings import ROLE_DEFAULTS, Role, Settings, typed_values


@dataclass(frozen=True, slots=True)
class Step:
    """One training run.

    Attributes:
        sources: fields of `Sources` from the file; files and steps by their names.
    """

    name: str
    settings: Settings
    sources: Mapping[str, Any] = field(default_factory=dict)

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the earlier steps that provide its starting weights or teachers."""
        start = self.sources.get("start")
        return (*([start] if start else []), *self.sources.get("teachers", ()))


@dataclass(frozen=True, slots=True)
class Package:
    """The exported step, with arguments of `nanoray.exporting.package.package_run`."""

    step: str
    quantize: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The validation part of the packaged model: a fold of the images with a value in a column.

    All others train, except those of the fold's patients. Cross-validation uses other folds.
    """

    column: str
    value: str
    folds: int = 10


@dataclass(frozen=True, slots=True)
class Recipe:
    """The steps in order.

    Attributes:
        split: None for the data set's own.
        package: None if nothing is exported.
    """

    name: str
    data: str
    steps: tuple[Step, ...]
    split: HeldOut | None = None
    package: Package | None = None

    @property
    def final(self) -> Step:
        """The step that is packaged, or the last one."""
        if self.package is None:
            return self.steps[-1]
        return next(step for step in self.steps if step.name == self.package.step)

    def resized(self, size: int) -> Recipe:
        """Return the short form: no step has a larger input than `size` pixels."""
        steps = tuple(
            replace(step, settings=replace(step.settings, size=min(size, step.settings.size)))
            for step in self.steps
        )
        return replace(self, name=f"{self.name}-{size}", steps=steps)


@dataclass(frozen=True, slots=True)
class Places:
    """The folders in which the names of a recipe are looked up.

    Attributes:
        data, weights: folders of data sets and of ImageNet weights.
        cache: folder of prepared images.
    """

    data: Path
    weights: Path
    cache: Path


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Raises:
        DataSetError: not a recipe; the message names the step and the key.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise DataSetError(f"{path}: not found") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise DataSetError(f"{path}: not YAML") from None
    _check_keys(document, {"name", "data", "steps"}, {"split", "package"}, str(path))
    if not isinstance(document["steps"], dict) or not document["steps"]:
        raise DataSetError(f"{path}: steps must name at least one training run")
    steps: list[Step] = []
    for name, content in document["steps"].items():
        steps.append(_read_step(str(name), content, [step.name for step in steps], path))
    split = None
    if document.get("split") is not None:
        _check_keys(document["split"], {"column", "value"}, {"folds"}, f"{path}: split")
        split = HeldOut(**document["split"])
    package = None
    if document.get("package") is not None:
        content = document["package"]
        _check_keys(content, {"step"}, {"quantize"}, f"{path}: package")
        if content["step"] not in document["steps"]:
            raise DataSetError(f"{path}: package: no step {content['step']!r}")
        package = Package(content["step"], content.get("quantize") or {})
    return Recipe(str(document["name"]), str(document["data"]), tuple(steps), split, package)


def _read_step(name: str, content: Any, earlier: Sequence[str], path: Path) -> Step:
    where = f"{path}: {name}"
    further = {one.name for one in fields(Sources)} - {"cache"}
    _check_keys(content, {"settings"}, further, where)
    if not isinstance(content["settings"], dict):
        raise DataSetError(f"{where}: settings must be `name: value` pairs")
    values = typed_values(content["settings"], where)
    role = values.get("role")
    if role is None or role not in get_args(Role):
        raise DataSetError(f"{where}: role must be one of {', '.join(get_args(Role))}")
    try:
        settings = Settings(**{**ROLE_DEFAULTS[role], **values})
        check_architecture(settings.architecture)
    except DataSetError as error:
        raise DataSetError(f"{where}: {error}") from None
    sources = {k: value for k, value in content.items() if k != "settings" and value is not None}
    for key in ("extras", "teachers", "apart", "untaught"):
        if not isinstance(sources.get(key, []), list):
            raise DataSetError(f"{where}: {key} must be a list")
    extras = {Path(name).name for name in sources.get("extras", ())}
    for key in ("apart", "untaught"):
        if others := set(sources.get(key, ())) - extras:
            raise DataSetError(f"{where}: {key}: not among the extras: {', '.join(sorted(others))}")
    step = Step(name, settings, sources)
    for needed in step.needs:
        if needed not in earlier:
            raise DataSetError(f"{where}: no earlier step {needed!r}")
    return step


def _check_keys(content: Any, needed: set[str], allowed: set[str], where: str) -> None:
    if not isinstance(content, dict):
        raise DataSetError(f"{where}: expected {', '.join(sorted(needed))}")
    missing = needed - content.keys()
    if missing:
        raise DataSetError(f"{where}: {', '.join(sorted(missing))} is missing")
    unknown = content.keys() - needed - allowed
    if unknown:
        raise DataSetError(
            f"{where}: unknown key {', '.join(sorted(map(str, unknown)))}; "
            f"use {', '.join(sorted(needed | allowed))}"
        )


def sources_of(step: Step, places: Places, runs: Mapping[str, Path]) -> Sources:
    """Return the inputs of a step.

    Args:
        runs: folders of the earlier steps.
    """
    hints = get_type_hints(Sources)
    values: dict[str, Any] = {}
    for name, value in step.sources.items():
        if name == "start":
            values[name] = runs[value]
        elif name == "teachers":
            values[name] = [runs[one] for one in value]
        elif name == "weights":
            values[name] = places.weights / value
        elif isinstance(value, list) and Path in get_args(hints[name]):
            values[name] = [places.data / one for one in value]
        elif Path in get_args(hints[name]):
            values[name] = places.data / value
        else:
            values[name] = value
    return Sources(cache=places.cache, **values)


def check_places(recipe: Recipe, places: Places) -> None:
    """Refuse a recipe with missing files, before any work.

    Raises:
        DataSetError: the message lists each of them.
    """
    wanted = [places.data / recipe.data]
    nowhere = {step.name: places.data for step in recipe.steps}
    for step in recipe.steps:
        sources = sources_of(step, places, nowhere)
        for one in fields(Sources):
            value = getattr(sources, one.name)
            if one.name not in ("start", "teachers", "cache"):
                values = value if isinstance(value, (list, tuple)) else [value]
                wanted += [path for path in values if isinstance(path, Path)]
    missing = sorted({str(path) for path in wanted if not path.exists()})
    if missing:
        raise DataSetError(f"recipe {recipe.name}: not found: {', '.join(missing)}")


def open_data(recipe: Recipe, places: Places) -> LabelledData:
    """Open a recipe's data set with the split that its runs train and validate on.

    Raises:
        DataSetError: see `open_labelled`, `select` and `split_into_folds`.
    """
    folder = places.data / recipe.data
    if recipe.split is None:
        return open_labelled(folder)
    cases = read_folder(folder)
    judged = select(cases, recipe.split.column, recipe.split.value)
    return LabelledData(folder, cases, split_into_folds(cases, judged, folds=recipe.split.folds)[0])


def step_keys(recipe: Recipe, seed: int, held_out: Sequence[str]) -> dict[str, str]:
    """Hash the dependencies of each step's run: its settings, the steps that it needs, its data.

    Recipes with the same step use the same run.

    Args:
        held_out: names of the images for evaluation.
    """
    keys: dict[str, str] = {}
    for step in recipe.steps:
        content = {
            "settings": asdict(replace(step.settings, seed=seed)),
            "sources": {k: v for k, v in step.sources.items() if k not in ("start", "teachers")},
            "start": keys.get(step.sources.get("start", "")),
            "teachers": [keys[name] for name in step.sources.get("teachers", ())],
            "data": recipe.data,
            "held out": sorted(held_out),
        }
        text = json.dumps(content, sort_keys=True, default=str)
        keys[step.name] = hashlib.sha256(text.encode()).hexdigest()[:10]
    return keys


def run_steps(
    recipe: Recipe,
    data: LabelledData,
    places: Places,
    folder_of: Callable[[str], Path],
    *,
    seed: int | None = None,
    show_progress: bool = True,
    announce: Callable[[str], None] = lambda line: None,
) -> dict[str, Path]:
    """Train the steps in order; finished ones are skipped, an interrupted one is resumed.

    Args:
        folder_of: returns the run folder of a step.
        seed: instead of that of the settings.
        announce: called with a line for each step.

    Returns:
        The run folder of each step.
    """
    runs: dict[str, Path] = {}
    for number, step in enumerate(recipe.steps, 1):
        settings = step.settings if seed is None else replace(step.settings, seed=seed)
        runs[step.name] = folder_of(step.name)
        announce(f"[{number}/{len(recipe.steps)}] {step.name}: {runs[step.name]}")
        score = train(
            settings,
            data,
            runs[step.name],
            sources_of(step, places, runs),
            show_progress=show_progress,
        )
        announce(f"[{number}/{len(recipe.steps)}] {step.name}: validation AUROC {score:.4f}")
    return runs
