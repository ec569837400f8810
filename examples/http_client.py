"""Send a radiograph to a running `nanoray serve` and print the answer.

nanoray serve --no-auth &
python examples/http_client.py http://127.0.0.1:8080 RADIOGRAPH [KEY]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import httpx


def main(address: str, radiograph: str, key: str | None = None) -> None:
    """Send one file; the key is one of `nanoray keys add NAME --role submit`."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    path = Path(radiograph)
    answer = httpx.post(
        f"{address}/v1/predictions",
        files={"files": (path.name, path.read_bytes())},
        headers=headers,
        timeout=60,
    )
    answer.raise_for_status()
    print(json.dumps(answer.json(), indent=2))


if __name__ == "__main__":
    main(*sys.argv[1:])
