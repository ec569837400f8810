"""Where the network runs: names, what is missing, and equality to the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from nanoray.detecting import load
from nanoray.detecting.providers import NAMES, execution_provider
from nanoray.errors import ModelFileError


def test_unknown_and_missing(monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    with pytest.raises(ValueError, match="unknown provider 'tpu': choose from cpu, cuda"):
        load(tiny_model, provider="tpu")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [NAMES["cpu"]])
    for name in ("cuda", "openvino", "coreml", "directml"):
        words = rf"this ONNX Runtime has no {name}: install .*has cpu"
        with pytest.raises(ValueError, match=words):
            execution_provider(name)


def test_a_provider_that_differs_is_refused(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(NAMES.values()))
    whole = onnxruntime.InferenceSession
    shift = 0.0

    class Other:
        """A stand-in for a device: the CPU's session, with moved logits."""

        def __init__(self, path: str, options: Any, providers: list[str]) -> None:
            self._session = whole(path, options, providers=[NAMES["cpu"]])
            self._moved = shift if providers[0] != NAMES["cpu"] else 0.0

        def __getattr__(self, name: str) -> Any:
            return getattr(self._session, name)

        def run(self, names: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
            found = self._session.run(names, feeds)
            return [
                v + self._moved if n == "logit" else v for n, v in zip(names, found, strict=True)
            ]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Other)
    pixels = np.full((32, 32), 0.9, np.float32)
    shift = 0.001
    near = load(tiny_model, provider="cuda").predict(pixels)
    assert near.logit == pytest.approx(load(tiny_model).predict(pixels).logit + 0.001, abs=1e-5)
    shift = 0.3
    with pytest.raises(ModelFileError, match=r"on cuda a logit differs by 0\.3 from the CPU"):
        load(tiny_model, provider="cuda")
