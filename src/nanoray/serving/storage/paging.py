"""Lists in pages: sorted by a falling column, ties by id, continued from the last row (keyset).

Every page takes the same time. Rows that arrive between two pages neither repeat nor hide others.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, String, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from nanoray.serving.storage.tables import Moment, PredictionRow, StudyRow

Row = TypeVar("Row", PredictionRow, StudyRow)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """A part of a list.

    Attributes:
        rows: in order.
        cursor: start of the next page; None at the end.
        total: number of rows that match the filter.
    """

    rows: list[Row]
    cursor: str | None
    total: int


def page(
    session: Session,
    row: type[Row],
    key: InstrumentedAttribute[Any],
    conditions: Sequence[ColumnElement[bool]],
    *,
    cursor: str | None,
    limit: int,
) -> Page[Row]:
    """Return a page of at most `limit` rows, by falling values of the column `key`.

    Raises:
        ValueError: the cursor belongs to another list.
    """
    query = select(row).where(*conditions).order_by(key.desc(), row.id).limit(limit + 1)
    if cursor is not None:
        value, name = _decode(cursor, key)
        # The first condition is redundant; with it databases use an index.
        query = query.where(key <= value, or_(key < value, and_(key == value, row.id > name)))
    rows = list(session.scalars(query))
    total = session.scalar(select(func.count()).select_from(row).where(*conditions)) or 0
    after = None
    if len(rows) > limit:
        rows = rows[:limit]
        after = _encode(getattr(rows[-1], key.key), rows[-1].id)
    return Page(rows, after, total)


def _encode(value: float | str | datetime, name: str) -> str:
    plain = value.isoformat() if isinstance(value, datetime) else value
    return base64.urlsafe_b64encode(json.dumps([plain, name]).encode()).decode().rstrip("=")


def _decode(cursor: str, key: InstrumentedAttribute[Any]) -> tuple[Any, str]:
    """Return value and id of the last row before a page; the value must fit the column."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        value, name = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if not isinstance(name, str) or len(name) != 32:
            raise ValueError
        if isinstance(key.type, Moment):
            value = datetime.fromisoformat(value)
            if value.tzinfo is None:
                raise ValueError
        elif isinstance(key.type, String):
            if not isinstance(value, str):
                raise ValueError
        else:
            value = float(value)
            if not math.isfinite(value):
                raise ValueError
        return value, name
    except (ValueError, TypeError, binascii.Error, OverflowError, RecursionError):
        raise ValueError("the cursor belongs to another list") from None
