"""Results of an earlier screening, column by column: of `nanoray screen`, or of `predict`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from nanoray.archives.run_folder import RunFolder
from nanoray.archives.sources import is_url
from nanoray.detecting.prediction import ABSTAINED
from nanoray.errors import DataSetError
from nanoray.files import printable

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES: Final = (".parquet", ".csv", ".jsonl")


class Results:
    """A run's folder, a Parquet file or folder, or CSV or JSONL of `nanoray predict`.

    Attributes:
        place: path or URL, as given.
        names: the existing columns.
    """

    def __init__(self, place: str) -> None:
        """Open results.

        Raises:
            DataSetError: no results found.
        """
        self.place = place
        self._run: RunFolder | None = None
        self._table: Any = None
        if place.lower().endswith(SUFFIXES) and not is_url(place):
            self._table = _read(Path(place))
            self.names = tuple(self._table.column_names)
        else:
            self._run = RunFolder(place)
            first = next(iter(self._run.tables()), None)
            if first is None:
                raise DataSetError(f"{printable(place)}: no results of nanoray screen")
            self.names = tuple(first.column_names)
        if "probability" not in self.names or "decision" not in self.names:
            raise DataSetError(f"{printable(place)}: has no column of probabilities or decisions")

    def _parts(self, names: list[str]) -> Any:
        if self._run is not None:
            yield from self._run.tables(names)
        else:
            yield self._table.select(names)

    def values(self, name: str) -> NDArray[np.float64]:
        """Return a column of numbers, float64 [N], of the radiographs with a decision."""
        found = []
        for table in self._parts([name, "decision"]):
            decision = _words(table.column("decision"))
            decided = np.array([value not in (None, ABSTAINED, "") for value in decision])
            column = np.asarray(table.column(name).cast("float64").to_numpy(), np.float64)
            found.append(column[decided])
        return np.concatenate(found) if found else np.zeros(0)

    def counts(self, name: str) -> Counter[str]:
        """Count the words of a column; rows without one are omitted."""
        total: Counter[str] = Counter()
        for table in self._parts([name]):
            total += Counter(value for value in _words(table.column(name)) if value)
        return total

    def column(self, name: str) -> list[Any]:
        """Return a whole column; null for missing values."""
        return [value for table in self._parts([name]) for value in table.column(name).to_pylist()]

    def versions(self) -> set[str]:
        """Return the models of the results, with their versions."""
        if not {"model", "model_version"} <= set(self.names):
            return set()
        found = set()
        for table in self._parts(["model", "model_version"]):
            names, versions = (_words(table.column(name)) for name in ("model", "model_version"))
            found |= {f"{a} {b}" for a, b in zip(names, versions, strict=True) if a and b}
        return found


def _words(column: pa.ChunkedArray) -> list[Any]:
    found: list[Any] = column.cast("string").to_pylist()
    return found


def _read(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.json
    import pyarrow.parquet

    readers = {
        ".parquet": pa.parquet.read_table,
        ".csv": pa.csv.read_csv,
        ".jsonl": pa.json.read_json,
    }
    try:
        return readers[path.suffix.lower()](path)
    except FileNotFoundError:
        raise DataSetError(f"{printable(str(path))}: no such file") from None
    except OSError:
        raise DataSetError(f"{printable(str(path))}: not a readable kind of file") from None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise DataSetError(f"{printable(str(path))}: not a readable table") from None
