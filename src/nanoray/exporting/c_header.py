"""The model file as a C header: its bytes, and its settings as constants.

`examples/c/nanoray.c` is a program around it.
"""

from __future__ import annotations

from pathlib import Path

from nanoray.detecting.model_file import INPUT, NOTICE, ModelCard

_WIDTH = 20


def write_header(model: Path, card: ModelCard, output: Path) -> None:
    """Write a header of C99 that any compiler takes, with the model file as an array."""
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
        f"#define NANORAY_TEMPERATURE {card.temperature!r}",
        f"#define NANORAY_NOVELTY_LIMIT {card.novelty_limit!r}",
        f'#define NANORAY_OPERATING_POINT "{_string(card.default_operating_point)}"',
        f"#define NANORAY_THRESHOLD {card.operating_point().threshold!r}",
    ]
    for point in card.operating_points:
        name = "".join(c if c.isalnum() else "_" for c in point.name.upper())
        lines.append(f"#define NANORAY_THRESHOLD_{name} {point.threshold!r}")
    lines += [
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


def _string(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")


def _comment(text: str) -> str:
    return text.replace("*/", "* /").replace("\n", " ")
