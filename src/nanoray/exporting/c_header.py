"""The model file as a C header: its bytes, and its settings as constants.

`examples/c/nanoray.c` is a program that uses it.
"""

from __future__ import annotations

from pathlib import Path

from nanoray.detecting.model_file import INPUT, NOTICE, VIEW, ModelCard, open_model
from nanoray.detecting.views import CERTAIN, Calibration

_WIDTH = 20


def write_header(model: Path, card: ModelCard, output: Path) -> None:
    """Write a header in C99 with the model file as an array."""
    data = model.read_bytes()
    lines = [
        f"/* {_comment(card.name)} {_comment(card.version)}, {model.name}, as a C array.",
        f" * {NOTICE}",
        f" * Licence: {_comment(card.licence)} */",
        "#ifndef NANORAY_MODEL_H",
        "#define NANORAY_MODEL_H",
        "",
        f'#define NANORAY_NAME "{_string(card.name)}"',
        f'#define NANORAY_VERSION "{_string(card.version)}"',
        f'#define NANORAY_NOTICE "{_string(NOTICE)}"',
        f'#define NANORAY_INPUT "{INPUT}"',
        f"#define NANORAY_SIZE {card.input_size}",
        f"#define NANORAY_EQUALIZE {int(bool(getattr(card, 'equalize', False)))}",
        f"#define NANORAY_NOVELTY_LIMIT {card.novelty_limit!r}",
        f'#define NANORAY_OPERATING_POINT "{_string(card.default_operating_point)}"',
        "",
        "/* Thresholds of the operating points, and from logit to probability: sigmoid((logit +",
        " * shift) / temperature). The first is for all views, the others for single views. */",
        *_calibrations(card),
        "",
        "/* Whether the network predicts the view (AP above 0, PA below), and the least certain "
        "logit. */",
        f"#define NANORAY_HAS_VIEW {int(_tells_view(model))}",
        f"#define NANORAY_VIEW_CERTAIN {CERTAIN!r}",
        "",
        f"#define NANORAY_MODEL_LENGTH {len(data)}",
        "static const unsigned char nanoray_model[NANORAY_MODEL_LENGTH] = {",
        *(
            ",".join(map(str, data[first : first + _WIDTH])) + ","
            for first in range(0, len(data), _WIDTH)
        ),
        "};",
        "",
        "#endif",
        "",
    ]
    output.write_text("\n".join(lines), encoding="ascii", errors="backslashreplace")


def _tells_view(model: Path) -> bool:
    return any(output.name == VIEW for output in open_model(model)[0].get_outputs())


def _calibrations(card: ModelCard) -> list[str]:
    """Return an array of structures with a threshold for every operating point."""
    points = [point.name for point in card.operating_points]
    names = ["".join(c if c.isalnum() else "_" for c in name.upper()) for name in points]

    def row(one: Calibration) -> str:
        thresholds = ", ".join(repr(one.operating_point(name).threshold) for name in points)
        view = f'"{one.view}"' if one.view else '""'
        return f"    {{{view}, {one.temperature!r}, {one.shift!r}, {{{thresholds}}}}},"

    return [
        f"enum {{ {', '.join(f'NANORAY_{name}' for name in names)} }};",
        f"#define NANORAY_DEFAULT NANORAY_{names[points.index(card.default_operating_point)]}",
        f"#define NANORAY_CALIBRATIONS {1 + len(card.views)}",
        "static const struct {",
        "    const char *view;",
        f"    double temperature, shift, threshold[{len(points)}];",
        "} nanoray_calibrations[NANORAY_CALIBRATIONS] = {",
        row(card.calibration()),
        *map(row, card.views),
        "};",
    ]


def _string(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")


def _comment(text: str) -> str:
    return text.replace("*/", "* /").replace("\n", " ")
