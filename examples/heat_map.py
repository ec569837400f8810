"""Draw the heat map over a radiograph and write the picture.

python examples/heat_map.py RADIOGRAPH OUTPUT.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import nanoray
from nanoray.detecting import heatmap


def main(radiograph: str, output: str) -> None:
    """Predict one file with its picture and write the overlay as PNG."""
    prediction = nanoray.load().predict(radiograph, thumbnail=True)
    assert prediction.thumbnail is not None
    overlay = heatmap.overlay(prediction.thumbnail, prediction.heatmap)
    Path(output).write_bytes(heatmap.png(overlay))
    print(f"{prediction.decision}, probability {prediction.probability:.3f}: {output}")
    print(nanoray.NOTICE)


if __name__ == "__main__":
    main(*sys.argv[1:3])
