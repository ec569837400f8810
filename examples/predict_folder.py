"""Screen the radiographs of a folder, and list those that need a look first.

python examples/predict_folder.py FOLDER
"""

from __future__ import annotations

import sys

import nanoray
from nanoray.reading.finding import find


def main(folder: str) -> None:
    """Print source, probability and decision, by falling probability."""
    detector = nanoray.load(operating_point="balanced")
    found = []
    # Files are read in separate processes, so a damaged file affects no other file.
    for result in detector.predict_many(find([folder]).paths):
        if result.error is not None:
            print(f"not read: {result.source}: {result.error.reason}", file=sys.stderr)
        else:
            found.append(result)
    for result in sorted(found, key=lambda result: -result.probability):
        print(f"{result.probability:.3f}  {result.decision:24}  {result.source}")
    print(nanoray.NOTICE)


if __name__ == "__main__":
    main(sys.argv[1])
