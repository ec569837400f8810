"""What the service answers to whatever its own schema allows, and does not allow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from serving_helpers import server

schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis")

from hypothesis import HealthCheck, Phase, given  # noqa: E402
from hypothesis import settings as examples  # noqa: E402
from schemathesis import GenerationMode, checks  # noqa: E402

CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


def check(operation: Any, mode: Any) -> None:
    """Call an operation with made-up requests, and compare the answers to its description."""

    @examples(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def answers_are_as_documented(case: Any) -> None:
        answer = case.call_and_validate(checks=CHECKS)
        # 502 is of the DICOMweb server, and there is none.
        assert answer.status_code < 500 or answer.status_code == 502

    answers_are_as_documented()


def test_every_answer_is_as_documented(tmp_path: Path, tiny_model: Path) -> None:
    options = ("--workers", "1", "--dicomweb", "http://[::1]:9")
    with server(tmp_path / "data", tiny_model, *options) as on:
        # The stream of events has no end.
        schema = schemathesis.openapi.from_url(f"{on.url}/openapi.json").exclude(path="/v1/events")
        # Schemathesis writes no multipart/related; test_interfaces does.
        schema = schema.exclude(path="/dicom-web/studies")
        operations = [found.ok() for found in schema.get_all_operations()]
        assert len(operations) >= 15
        for operation in operations:
            check(operation, GenerationMode.POSITIVE)
            if any(len(part) for part in (operation.query, operation.path_parameters)):
                check(operation, GenerationMode.NEGATIVE)
        # None of it ended a thread or a process.
        with on.client() as client:
            assert client.get("/readyz").status_code == 200
