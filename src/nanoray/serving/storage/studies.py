"""The worklist: images grouped into studies, searched, marked as read, and reviewed."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Text, and_, cast, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from nanoray.detecting.flags import LATERAL, OUT_OF_SCOPE
from nanoray.detecting.prediction import ABSTAINED, NOT_SUSPECTED, SUSPECTED, UNSURE
from nanoray.serving.storage.database import Database
from nanoray.serving.storage.paging import Page, page
from nanoray.serving.storage.tables import (
    DONE,
    QUEUED,
    DeliveryRow,
    InstanceRow,
    PredictionRow,
    StudyImageRow,
    StudyRow,
    new_id,
    now,
)

Verdict = Literal[
    "opacity suspected",
    "unsure",
    "no opacity suspected",
    "abstained",
    "out of scope",
    "unreadable",
]
"""Verdicts on a study, from the most to the least urgent."""

Finding = Literal["opacity", "no opacity"]
"""Findings of a reviewer."""

Sort = Literal["-probability", "-received_at", "-study_date"]

_PART = 500  # SQLite binds at most 999 values in old versions
_RACES = 3


@dataclass(frozen=True, slots=True)
class Description:
    """The study and patient in the header of a DICOM file; all fields may be empty.

    Attributes:
        study_uid: StudyInstanceUID; "" for a file without a study.
        patient_id, issuer: PatientID and IssuerOfPatientID.
        patient_name: formatted as "Last, First".
        birth_date, study_date: ISO 8601; "" if absent or invalid.
        sex: "M", "F", "O" or "".
        accession, description: AccessionNumber, StudyDescription.
        number: InstanceNumber; 0 if absent.
    """

    study_uid: str = ""
    patient_id: str = ""
    issuer: str = ""
    patient_name: str = ""
    birth_date: str = ""
    study_date: str = ""
    sex: str = ""
    accession: str = ""
    description: str = ""
    number: int = 0

    def key(self, prediction: str) -> str:
        """Return a digest of study and patient, or of the prediction without a study."""
        parts = [self.study_uid, self.patient_id, self.issuer] if self.study_uid else [prediction]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def identity(self) -> dict[str, Any]:
        """Return the columns of a study that identify its patient."""
        words = (self.patient_name, self.patient_id, self.accession, self.description)
        return {
            "study_uid": self.study_uid or None,
            "patient_name": self.patient_name or None,
            "patient_id": self.patient_id or None,
            "birth_date": self.birth_date or None,
            "sex": self.sex or None,
            "accession": self.accession or None,
            "description": self.description or None,
            "search": " ".join(word for word in words if word).casefold() or None,
            "study_date": self.study_date,
        }


NOBODY: Final = Description().identity()
"""The columns of `Description.identity` without an identity."""


@dataclass(frozen=True, slots=True)
class StudyFilter:
    """A filter of studies; None means any.

    Attributes:
        text: words that must all occur in the patient's name or ID, the accession number or the
            study's description; without `by_identity`, the beginning of the study's id.
        by_identity: whether `text` may search fields that identify a patient.
        ids, image: only these studies, or the study of this prediction.
        read, reviewed: whether a reader has marked or reviewed it.
        agrees: whether the reviewer agreed with the result.
        received_from, received_to: half-open range of times.
        study_from, study_to: closed range of ISO dates.
    """

    text: str | None = None
    by_identity: bool = False
    ids: tuple[str, ...] | None = None
    image: str | None = None
    verdict: Verdict | None = None
    flag: str | None = None
    view: str | None = None
    origin: str | None = None
    read: bool | None = None
    reviewed: bool | None = None
    agrees: bool | None = None
    min_probability: float | None = None
    max_probability: float | None = None
    received_from: datetime | None = None
    received_to: datetime | None = None
    study_from: str | None = None
    study_to: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions of a query."""
        found = [*self._text(), *self._ranges()]
        row = StudyRow
        if self.ids is not None:
            found.append(row.id.in_(self.ids))
        if self.image is not None:
            of_image = select(StudyImageRow.study_id).where(
                StudyImageRow.prediction_id == self.image
            )
            found.append(row.id.in_(of_image))
        for column, value in (
            (row.verdict, self.verdict),
            (row.origin, self.origin),
            (row.agrees, self.agrees),
        ):
            if value is not None:
                found.append(column == value)
        for listed, word in ((row.flags, self.flag), (row.views, self.view)):
            if word is not None:
                # Stored as a JSON list of words without quotes.
                found.append(cast(listed, Text).contains(f'"{word}"', autoescape=True))
        for moment, is_set in ((row.read_at, self.read), (row.reviewed_at, self.reviewed)):
            if is_set is not None:
                found.append(moment.is_not(None) if is_set else moment.is_(None))
        return found

    def _ranges(self) -> Iterator[ColumnElement[bool]]:
        row = StudyRow
        if self.min_probability is not None:
            yield row.probability >= self.min_probability
        if self.max_probability is not None:
            yield row.probability <= self.max_probability
        if self.received_from is not None:
            yield row.received_at >= self.received_from
        if self.received_to is not None:
            yield row.received_at < self.received_to
        if self.study_from is not None:
            yield row.study_date >= self.study_from
        if self.study_to is not None:
            yield and_(row.study_date <= self.study_to, row.study_date != "")

    def _text(self) -> Iterator[ColumnElement[bool]]:
        words = (self.text or "").casefold().split()
        if not self.by_identity:
            for word in words:
                yield StudyRow.id.startswith(word, autoescape=True)
        elif words:
            # A separate query, which needs only the index of the text and not the rows.
            found = aliased(StudyRow)
            yield StudyRow.id.in_(
                select(found.id).where(
                    *(found.search.contains(word, autoescape=True) for word in words)
                )
            )


@dataclass(frozen=True, slots=True)
class Label:
    """An image with the review of its study.

    Attributes:
        prediction: the image.
        target: 1 for an opacity, 0 for none.
        patient: a number, equal for the images of a patient within one export.
        probability, decision: the detector's.
        note: of the reviewer.
        reviewed_at: when.
    """

    prediction: str
    target: int
    patient: int
    probability: float | None
    decision: str | None
    note: str
    reviewed_at: datetime


class Studies:
    """The studies in a database; thread-safe."""

    def __init__(self, database: Database, *, keep_identity: bool) -> None:
        """Use a database; without `keep_identity` no data that identify a patient are stored."""
        self._database = database
        self._keep_identity = keep_identity

    # Grouping.

    def unindexed(self, limit: int) -> list[str]:
        """List finished predictions without a study, or with a study not yet identified."""
        linked = select(StudyImageRow.prediction_id)
        new = (
            select(PredictionRow.id)
            .where(PredictionRow.status != QUEUED, PredictionRow.id.not_in(linked))
            .limit(limit)
        )
        with self._database.reading() as session:
            found = list(session.scalars(new))
            if not found and self._keep_identity:
                unidentified = (
                    select(StudyImageRow.prediction_id)
                    .join(StudyRow, StudyRow.id == StudyImageRow.study_id)
                    .where(StudyRow.identified.is_(False))
                    .limit(limit)
                )
                found = list(session.scalars(unidentified))
            return found

    def index(self, described: Sequence[tuple[str, Description]]) -> list[str]:
        """Assign images to studies, and update the studies' summaries.

        Args:
            described: predictions with the descriptions from their headers.

        Returns:
            Ids of the changed studies.
        """
        for attempt in range(1, _RACES + 1):
            try:
                with self._database.writing() as session:
                    return self._index(session, described)
            except IntegrityError:
                # Another process made the same study, or a user deleted an image.
                if attempt == _RACES:
                    raise
        raise AssertionError("unreachable")

    def _index(self, session: Session, described: Sequence[tuple[str, Description]]) -> list[str]:
        # A few queries for all images: one by one, they took a third of a busy service's time.
        names = [name for name, _ in described]
        known = select(PredictionRow.id).where(PredictionRow.id.in_(names))
        present = set(session.scalars(known))
        images = [(name, found, found.key(name)) for name, found in described if name in present]
        keys = {key for _, _, key in images}
        studies = {
            study.key: study
            for study in session.scalars(select(StudyRow).where(StudyRow.key.in_(keys)))
        }
        linked = select(StudyImageRow).where(StudyImageRow.prediction_id.in_(present))
        links = {link.prediction_id: link for link in session.scalars(linked)}
        for _, found, key in images:
            study = studies.get(key)
            if study is None:
                study = studies[key] = StudyRow(id=new_id(), key=key, study_date="")
                session.add(study)
            if self._keep_identity and not study.identified:
                for column, value in found.identity().items():
                    setattr(study, column, value)
                study.identified = True
        session.flush()
        changed: dict[str, None] = {}
        for name, found, key in images:
            study, link = studies[key], links.get(name)
            if link is None:
                link = StudyImageRow(prediction_id=name, study_id=study.id, number=found.number)
                links[name] = link
                session.add(link)
            elif link.study_id != study.id:
                changed[link.study_id] = None
                link.study_id, link.number = study.id, found.number
            changed[study.id] = None
        session.flush()
        _summarise(session, changed)
        return list(changed)

    def refresh(self, predictions: Sequence[str]) -> list[str]:
        """Update the studies of some predictions after a new result; return their ids."""
        with self._database.writing() as session:
            found = list(
                session.scalars(
                    select(StudyImageRow.study_id)
                    .where(StudyImageRow.prediction_id.in_(predictions))
                    .distinct()
                )
            )
            _summarise(session, found)
            return found

    def of_image(self, prediction: str) -> str | None:
        """Return the id of a prediction's study; None without one."""
        with self._database.reading() as session:
            link = session.get(StudyImageRow, prediction)
            return None if link is None else link.study_id

    def tidy(self, study_ids: Iterable[str] | None = None) -> None:
        """Update the given studies, or all, after images were deleted."""
        with self._database.writing() as session:
            if study_ids is None:
                counted = (
                    select(StudyImageRow.study_id, func.count().label("images"))
                    .group_by(StudyImageRow.study_id)
                    .subquery()
                )
                study_ids = list(
                    session.scalars(
                        select(StudyRow.id)
                        .outerjoin(counted, counted.c.study_id == StudyRow.id)
                        .where(func.coalesce(counted.c.images, 0) != StudyRow.images)
                    )
                )
            _summarise(session, study_ids)

    def forget_identities(self) -> int:
        """Remove data that identify patients; return the number of changed studies."""
        with self._database.writing() as session:
            done = session.execute(
                update(StudyRow)
                .where(StudyRow.identified.is_(True))
                .values(identified=False, **NOBODY)
            )
            return int(getattr(done, "rowcount", 0))

    # Looking.

    def page(
        self, wanted: StudyFilter, *, sort: Sort, cursor: str | None, limit: int
    ) -> Page[StudyRow]:
        """Return a page of studies, sorted by falling values, ties by id.

        Raises:
            ValueError: the cursor belongs to another list.
        """
        with self._database.reading() as session:
            return page(
                session,
                StudyRow,
                _sort_key(sort),
                wanted.conditions(),
                cursor=cursor,
                limit=limit,
            )

    def every(self, wanted: StudyFilter, *, sort: Sort) -> Iterator[StudyRow]:
        """Yield all studies that match a filter, in order, page by page."""
        cursor: str | None = None
        while True:
            page = self.page(wanted, sort=sort, cursor=cursor, limit=_PART)
            yield from page.rows
            cursor = page.cursor
            if cursor is None:
                return

    def get(self, study_id: str) -> tuple[StudyRow, list[PredictionRow]] | None:
        """Return a study and its images in order; None if it is not found."""
        with self._database.reading() as session:
            study = session.get(StudyRow, study_id)
            if study is None:
                return None
            return study, [image for _, image in session.execute(_images([study_id]))]

    def deliveries(self, study_id: str) -> list[DeliveryRow]:
        """List the deliveries of the reports on a study's images, the latest first."""
        reports = (
            select(InstanceRow.report_id)
            .join(StudyImageRow, StudyImageRow.prediction_id == InstanceRow.prediction_id)
            .where(StudyImageRow.study_id == study_id)
        )
        query = (
            select(DeliveryRow)
            .where(DeliveryRow.report_id.in_(reports))
            .order_by(DeliveryRow.next_at.desc())
            .limit(_PART)
        )
        with self._database.reading() as session:
            return list(session.scalars(query))

    # Read states and reviews.

    def mark(self, study_id: str, *, read: bool, who: str | None) -> StudyRow | None:
        """Mark a study as read, or as unread; None if it is not found."""
        with self._database.writing() as session:
            study = session.get(StudyRow, study_id)
            if study is not None:
                study.read_at, study.read_by = (now(), who) if read else (None, None)
            return study

    def review(
        self, study_id: str, *, finding: Finding | None, note: str, who: str | None
    ) -> StudyRow | None:
        """Record a review and mark the study as read; None if the study is not found.

        Without a finding and a note an earlier review is withdrawn.
        """
        with self._database.writing() as session:
            study = session.get(StudyRow, study_id)
            if study is None:
                return None
            withdrawn = finding is None and not note
            study.finding, study.note = finding, note or None
            study.agrees = _agrees(study.verdict, finding)
            study.reviewed_at, study.reviewed_by = (None, None) if withdrawn else (now(), who)
            if not withdrawn:
                study.read_at, study.read_by = now(), who
            return study

    def labels(self) -> list[Label]:
        """List the images in scope of reviewed studies, with the reviewers' findings."""
        query = (
            select(StudyRow, PredictionRow)
            .join(StudyImageRow, StudyImageRow.study_id == StudyRow.id)
            .join(PredictionRow, PredictionRow.id == StudyImageRow.prediction_id)
            .where(StudyRow.finding.is_not(None), PredictionRow.status == DONE)
            .order_by(StudyRow.reviewed_at, StudyRow.id, StudyImageRow.number)
        )
        patients: dict[str, int] = {}
        found: list[Label] = []
        with self._database.reading() as session:
            for study, image in session.execute(query):
                if OUT_OF_SCOPE.intersection(image.flags):
                    continue
                assert study.reviewed_at is not None  # as the query requires
                patient = patients.setdefault(study.patient_id or study.id, len(patients) + 1)
                found.append(
                    Label(
                        image.id,
                        int(study.finding == "opacity"),
                        patient,
                        image.probability,
                        image.decision,
                        study.note or "",
                        study.reviewed_at,
                    )
                )
        return found


def in_scope(image: PredictionRow) -> bool:
    """Return whether an image is in the model's scope, by its quality flags."""
    return not OUT_OF_SCOPE.intersection(image.flags)


def view_of(image: PredictionRow) -> str | None:
    """Return the view of the decision, else the header's view, else LATERAL by the flags."""
    if image.view or image.facts.get("view"):
        return str(image.view or image.facts["view"])
    return "LATERAL" if LATERAL.intersection(image.flags) else None


def _images(study_ids: Sequence[str]) -> Any:
    """Select the ids of studies with each of their images, in order."""
    return (
        select(StudyImageRow.study_id, PredictionRow)
        .join(PredictionRow, StudyImageRow.prediction_id == PredictionRow.id)
        .where(StudyImageRow.study_id.in_(study_ids))
        .order_by(StudyImageRow.number, PredictionRow.created_at, PredictionRow.id)
    )


_AT_A_TIME: Final = 200
"""Studies whose images are in memory together."""


def _summarise(session: Session, study_ids: Iterable[str]) -> None:
    """Update the studies' summaries; delete studies without images."""
    remaining = iter(study_ids)
    while some := list(itertools.islice(remaining, _AT_A_TIME)):
        images: dict[str, list[PredictionRow]] = {name: [] for name in some}
        for study_id, image in session.execute(_images(some)):
            images[study_id].append(image)
        for study in session.scalars(select(StudyRow).where(StudyRow.id.in_(some))):
            if images[study.id]:
                _update(study, images[study.id])
        if empty := [name for name, found in images.items() if not found]:
            session.execute(delete(StudyRow).where(StudyRow.id.in_(empty)))


def _update(study: StudyRow, images: Sequence[PredictionRow]) -> None:
    """Update the summary of a study with these images, at least one."""
    verdict, deciding = judge(images)
    probability = deciding.probability if deciding is not None else None
    if len(images) > (study.images or 0) and study.read_at is not None:
        study.read_at = study.read_by = None  # a new image has not been read
    study.images = len(images)
    study.verdict, study.probability = verdict, probability
    study.view = view_of(deciding) if deciding is not None else None
    study.threshold = deciding.threshold if deciding is not None else None
    priors = [*deciding.priors, None] if deciding is not None else [None]
    study.prior_probability = priors[0]["probability"] if priors[0] else None
    study.prior_date = (priors[0]["date"] or None) if priors[0] else None
    study.rank = probability if probability is not None else _RANKS[verdict]
    study.flags = sorted({flag for image in images for flag in image.flags})
    study.views = [view for image in images if (view := view_of(image))]
    study.origin = images[0].origin
    study.received_at = min(image.created_at for image in images)
    study.updated_at = max(image.finished_at or image.created_at for image in images)
    if study.finding is not None:
        study.agrees = _agrees(verdict, study.finding)


_DECIDED: Final[tuple[Verdict, ...]] = (SUSPECTED, UNSURE, NOT_SUSPECTED)
_RANKS: Final[dict[str, float]] = {"abstained": -1.0, "out of scope": -1.5, "unreadable": -2.0}


def judge(images: Sequence[PredictionRow]) -> tuple[Verdict, PredictionRow | None]:
    """Return the verdict on a study and the image that decides it; None without one.

    Views have separate thresholds, so the most suspicious decision takes precedence over the
    highest probability, as in the reports.
    """
    done = [image for image in images if image.status == DONE]
    scoped = [image for image in done if in_scope(image)]
    judged = [
        image for image in scoped if image.decision in _DECIDED and image.probability is not None
    ]
    if judged:
        deciding = max(
            judged, key=lambda image: (-_DECIDED.index(image.decision), image.probability)
        )
        return _DECIDED[_DECIDED.index(deciding.decision)], deciding
    if scoped:
        return ABSTAINED, None
    return ("out of scope", None) if done else ("unreadable", None)


def _agrees(verdict: str, finding: str | None) -> bool | None:
    """Return whether a finding agrees with a verdict; None if either is missing."""
    if finding is None or verdict not in (SUSPECTED, NOT_SUSPECTED):
        return None
    return (finding == "opacity") == (verdict == SUSPECTED)


def _sort_key(sort: Sort) -> InstrumentedAttribute[Any]:
    keys: dict[Sort, InstrumentedAttribute[Any]] = {
        "-probability": StudyRow.rank,
        "-received_at": StudyRow.received_at,
        "-study_date": StudyRow.study_date,
    }
    return keys[sort]
