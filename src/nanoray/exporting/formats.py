"""The export formats of a model file, with their requirements."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Format(str, Enum):
    """A format of `nanoray export`."""

    onnx = "onnx"
    openvino = "openvino"
    ncnn = "ncnn"
    litert = "litert"
    litert_int8 = "litert-int8"
    executorch = "executorch"
    coreml = "coreml"
    c = "c"
    huggingface = "huggingface"
    monai = "monai"


@dataclass(frozen=True, slots=True)
class Needs:
    """Requirements of an export format.

    Attributes:
        suffixes: of the files, the one to open first; they follow the model's name.
        extra: NanoRay's extra with the converter.
        packages: that the converter imports.
        from_int8: whether an INT8 model file can be exported, too.
        of: description of the runtime.
        unchecked: why an export was not compared with the model file.
    """

    suffixes: tuple[str, ...]
    extra: str
    packages: tuple[str, ...]
    from_int8: bool
    of: str
    unchecked: str = "not compared: its runtime is not installed"


_UNCHANGED: Final = "the model file itself, unchanged"

FORMATS: Final[dict[Format, Needs]] = {
    Format.onnx: Needs((".onnx",), "calibrate", ("onnx",), True, "ONNX Runtime, any platform"),
    Format.openvino: Needs(
        (".xml", ".bin"), "openvino", ("onnx", "openvino"), True, "OpenVINO: Intel and ARM"
    ),
    Format.ncnn: Needs(
        (".ncnn.param", ".ncnn.bin"), "ncnn", ("onnx", "torch", "pnnx"), False, "ncnn: ARM, Vulkan"
    ),
    Format.litert: Needs(
        (".tflite",), "litert", ("onnx", "torch", "litert_torch"), False, "LiteRT: phones, boards"
    ),
    Format.litert_int8: Needs(
        ("-int8.tflite", "-front.onnx", "-heads.onnx"),
        "litert",
        ("onnx", "torch", "litert_torch", "ai_edge_quantizer"),
        False,
        "LiteRT and accelerators of 8-bit integers",
    ),
    Format.executorch: Needs(
        (".pte",), "executorch", ("onnx", "torch", "executorch"), False, "ExecuTorch: phones"
    ),
    Format.coreml: Needs(
        (".mlpackage",),
        "coreml",
        ("onnx", "torch", "coremltools"),
        False,
        "Core ML: Apple",
        "not compared: Core ML runs only on macOS and iOS",
    ),
    Format.c: Needs(
        (".h",), "calibrate", ("onnx",), True, "a C program with ONNX Runtime", _UNCHANGED
    ),
    Format.huggingface: Needs(
        ("-huggingface",),
        "calibrate",
        ("onnx",),
        True,
        "a Hugging Face model folder, ONNX Runtime",
        _UNCHANGED,
    ),
    Format.monai: Needs(
        ("-monai",), "calibrate", ("onnx",), True, "a MONAI bundle, ONNX Runtime", _UNCHANGED
    ),
}
