"""What the service answers to whatever its own schema allows, and does not allow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving_helpers import server

schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis")

from hypothesis import HealthCheck, Phase  # noqa: E402
from hypothesis import settings as examples  # noqa: E402
from schemathesis import checks  # noqa: E402

pytestmark = pytest.mark.skipif(
    not os.environ.get("NANORAY_SCHEMA_TESTS"),
    reason="sends hundreds of made-up requests: set NANORAY_SCHEMA_TESTS=1",
)

CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Any]:
    """The schema of a running server."""
    folder = tmp_path_factory.mktemp("schema")
    with server(
        folder / "data", tiny_model, "--workers", "1", "--dicomweb", "http://[::1]:9"
    ) as on:
        # The stream of events has no end.
        yield schemathesis.openapi.from_url(f"{on.url}/openapi.json").exclude(path="/v1/events")


schema = schemathesis.pytest.from_fixture("api")


@schema.parametrize()
@examples(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_documented(case: Any) -> None:
    case.call_and_validate(checks=CHECKS)
