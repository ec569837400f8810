"""Audit files, read."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree


def messages(path: Path) -> list[ElementTree.Element]:
    """Return the messages of an audit file, each of which must be well formed."""
    found = []
    for line in path.read_text().splitlines():
        match = re.fullmatch(r"<8[45]>1 \S+ \S+ nanoray \d+ DICOM\+RFC3881 - (<.*>)", line)
        assert match is not None, line
        found.append(ElementTree.fromstring(match[1]))
    return found


def said(message: ElementTree.Element) -> tuple[str, str, str, str]:
    """Return event, action, outcome and user of a message."""
    event = message.find("EventIdentification")
    participant = message.find("ActiveParticipant")
    assert event is not None
    assert participant is not None
    name = event.find("EventID")
    assert name is not None
    return (
        name.attrib["originalText"],
        event.attrib["EventActionCode"],
        event.attrib["EventOutcomeIndicator"],
        participant.attrib["UserID"],
    )
