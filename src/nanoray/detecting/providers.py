"""Execution providers of ONNX Runtime: CPU, GPU and others."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

Provider: TypeAlias = Literal["cpu", "cuda", "openvino", "coreml", "directml"]

NAMES: Final[dict[str, str]] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
PACKAGES: Final[dict[str, str]] = {
    "cuda": "onnxruntime-gpu",
    "openvino": "onnxruntime-openvino",
    "coreml": "onnxruntime (on macOS)",
    "directml": "onnxruntime-directml (on Windows)",
}
"""The distribution with the provider, which replaces onnxruntime."""

EQUAL: Final = 0.02
"""Largest allowed difference of a provider's logit from the CPU's."""


def execution_provider(name: str) -> str:
    """Return ONNX Runtime's name of an installed provider.

    Raises:
        ValueError: an unknown provider, or one that is missing from this ONNX Runtime.
    """
    import onnxruntime

    if name not in NAMES:
        raise ValueError(f"unknown provider {name!r}: choose from {', '.join(NAMES)}")
    installed = onnxruntime.get_available_providers()
    if NAMES[name] not in installed:
        known = [own for own, theirs in NAMES.items() if theirs in installed]
        raise ValueError(
            f"this ONNX Runtime has no {name}: install {PACKAGES[name]} in place of onnxruntime; "
            f"it has {', '.join(known)}"
        )
    return NAMES[name]
