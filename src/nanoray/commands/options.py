"""Options of several commands."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from nanoray.detecting.guarantee import GUARANTEE_HELP

if TYPE_CHECKING:
    from nanoray.detecting.detector import Detector

ModelFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A model file; the packaged model by default."),
]
OperatingPoint = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The model's threshold for a purpose: screening, balanced or confirm.",
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        min=0.0, max=1.0, help="A threshold on the probability, instead of an operating point."
    ),
]
Guarantee = Annotated[
    float | None,
    typer.Option(metavar="LEVEL", help=GUARANTEE_HELP),
]
View = Annotated[
    str | None,
    typer.Option(
        metavar="AP|PA", help="The view of radiographs whose header has no View Position."
    ),
]
IgnoreHeader = Annotated[
    bool,
    typer.Option(
        "--ignore-header",
        help="Decide although the header states a lateral or oblique view, another body part or "
        "another modality; such files abstain by default.",
    ),
]
Exact = Annotated[
    bool,
    typer.Option(
        "--exact",
        help="Decode a JPEG or JPEG 2000 fully, not only as far as the network's square needs. For "
        "lossless JPEG 2000 probabilities move by 0.0008 in the median, 0.005 at most.",
    ),
]
Readers = Annotated[
    int | None,
    typer.Option(min=1, help="Processes that read files.", show_default="depends on the machine"),
]
Timeout = Annotated[
    float, typer.Option(min=0.1, help="Seconds after which reading a file is stopped.")
]


def load_detector(
    model: Path | None,
    operating_point: str | None,
    threshold: float | None,
    *,
    guarantee: float | None = None,
    view: str | None = None,
    ignore_header: bool = False,
    exact: bool = False,
    threads: int = 1,
    provider: str = "cpu",
) -> Detector:
    """Load the detector for the options.

    Raises:
        typer.BadParameter: both an operating point and a threshold, or an unknown operating point,
            guarantee or view.
        ModelFileError: no such model file, or not a NanoRay model.
    """
    from nanoray.detecting.detector import load

    if operating_point is not None and threshold is not None:
        raise typer.BadParameter("give --operating-point or --threshold, not both")
    try:
        return load(
            model,
            operating_point=operating_point,
            threshold=threshold,
            guarantee=guarantee,
            view=view,
            ignore_header=ignore_header,
            exact=exact,
            threads=threads,
            provider=provider,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def settings_parameters(
    settings: Any,
    chosen: Callable[[Mapping[str, Any]], bool] = lambda about: True,
    defaults: Mapping[str, Any] | None = None,
    *,
    prefix: str = "",
) -> list[inspect.Parameter]:
    """Build an option for each field of a settings dataclass, from type, default and metadata.

    Args:
        chosen: whether a field with the given metadata becomes an option. Fields without a help
            text do not.
        defaults: overrides of the fields' defaults.
        prefix: of the parameters' names, against equal names of two dataclasses.
    """
    types = get_type_hints(settings)
    parameters = []
    for field in fields(settings):
        about = field.metadata
        if "help" not in about or not chosen(about):
            continue
        type_ = types[field.name]
        default = (defaults or {}).get(field.name, field.default)
        # The words of a field stand for its own default, not for an override.
        shown = about["shown"] if default in (None, field.default) else True
        if get_origin(type_) is tuple:
            inner = get_args(type_)[0]
            # Typer has no list of choices; the settings check them.
            type_ = list[str] if get_origin(inner) is Literal else list[inner]  # type: ignore[valid-type]
        if default is MISSING:
            type_, default = type_ | None, None
        elif about["unit"] != 1:
            default //= about["unit"]
        option = typer.Option(
            *(about["options"] or (f"--{(prefix + field.name).replace('_', '-')}",)),
            help=about["help"],
            min=about["least"],
            max=about["most"],
            metavar=about["metavar"],
            envvar=about["variable"],
            show_default=shown,
            rich_help_panel=about["panel"],
        )
        annotation: Any = Annotated[type_, option]
        parameters.append(option_parameter(prefix + field.name, annotation, default))
    return parameters


def settings_values(settings: Any, options: Mapping[str, Any], *, prefix: str = "") -> Any:
    """Return the settings from the options of `settings_parameters`."""
    values = {}
    for field in fields(settings):
        if prefix + field.name not in options:
            continue
        value = options[prefix + field.name]
        if value is None and field.default is MISSING:
            continue
        if isinstance(value, list):
            value = tuple(value)
        unit = field.metadata["unit"]
        values[field.name] = value if unit == 1 else value * unit
    return settings(**values)


def option_parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    """Return an option for `with_parameters`."""
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def with_parameters(
    command: Callable[..., None], parameters: Iterable[inspect.Parameter]
) -> Callable[..., None]:
    """Replace the parameters that Typer reads from a command."""
    listed = list(parameters)
    command.__signature__ = inspect.Signature(listed)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in listed}
    return command
