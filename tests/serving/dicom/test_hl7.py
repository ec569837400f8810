"""Reports as HL7 v2 messages, and a receiver that takes or refuses them."""

from __future__ import annotations

import io
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from certificates import write_certificate
from dicom_nodes import delivered, node, send
from dicom_peers import CANARY, radiograph
from nanoray.detecting.model_file import NOTICE
from nanoray.errors import NanoRayError
from nanoray.serving.dicom import fhir, hl7
from nanoray.serving.dicom.delivery_error import DeliveryError
from nanoray.serving.dicom.destinations import parse
from nanoray.serving.dicom.documents import WriteReport
from nanoray.serving.dicom.findings import Finding, Model, Prior
from nanoray.serving.dicom.settings import NodeSettings
from serving_helpers import wait_for

MODEL = Model("tiny", "9.1", "ab" * 32, "balanced", 0.5)
PRIOR = Prior("2025-11-03", "AP", 0.25, 0.5, suspected=False, unsure=False)


def report(folder: Path, *, excluded: str | None = None, **changes: Any) -> bytes:
    """Return the structured report on a radiograph with a finding."""
    path = folder / "1.dcm"
    before = pydicom.config.settings.writing_validation_mode
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    try:
        radiograph(path, 3, **changes)
    finally:
        pydicom.config.settings.writing_validation_mode = before
    values = np.full((8, 8), 0.9, "<f4").tobytes()
    finding = Finding(
        str(path), MODEL, 0.8, True, False, values, 8, 8, excluded=excluded, priors=(PRIOR,)
    )
    made = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    written = WriteReport("1" * 32, "case", (finding,), made, 60.0, kinds=("sr",)).run()
    assert written.error is None
    return written.files[0]


def segments(content: bytes) -> list[list[str]]:
    """Return the fields of each segment; MSH-2 is the second one there."""
    assert content.endswith(b"\r")
    return [line.split("|") for line in content.decode().split("\r")[:-1]]


def of(content: bytes, name: str) -> list[str]:
    """Return the fields of the only segment of a name."""
    (found,) = (fields for fields in segments(content) if fields[0] == name)
    return found


def test_the_message_has_the_contents_of_the_report(tmp_path: Path) -> None:
    data = report(tmp_path, TimezoneOffsetFromUTC="+0100", IssuerOfPatientID="WARD")
    content = hl7.message(data, "RIS")
    header, patient, order = (of(content, name) for name in ("MSH", "PID", "OBR"))
    assert header[1:3] == [r"^~\&", "NANORAY"]
    assert header[4] == "RIS"
    assert header[6] == order[22] == "20260102040405+0100"
    assert (header[8], header[11], header[17]) == ("ORU^R01^ORU_R01", "2.5.1", "UNICODE UTF-8")
    assert patient[3] == "ZZCANARY-ID^^^WARD"
    assert patient[5] == "ZZCANARY^LEAK^^^^^L^A"
    assert (order[3], order[18], order[25]) == ("ZZCANARY-ACC", "ZZCANARY-ACC", "P")
    assert order[7] == "20260102030405"
    found = [fields for fields in segments(content) if fields[0] == "OBX"]
    assert [fields[1] for fields in found] == [str(number) for number in range(1, len(found) + 1)]
    assert {fields[11] for fields in found} == {"P"}
    case, probability = found[:2]
    assert case[2:6] == ["CWE", "112033^Abnormal opacity^DCM", "1", "52101004^Present^SCT"]
    assert (case[8], probability[2], probability[5]) == ("A", "NM", "0.8")
    texts = [fields[5] for fields in found if fields[2] in ("TX", "ST")]
    # The name, the prior, the name of the image, the conclusion, and the study.
    assert texts[0] == "Case"
    assert "Prior of 2025-11-03 (AP): probability 0.25" in texts[1]
    assert texts[2] == "Image 1"
    assert texts[3] == f"Opacity on chest radiograph: present. {NOTICE}"
    assert texts[4] == str(pydicom.dcmread(io.BytesIO(data)).StudyInstanceUID)


def test_fhir_has_the_comments_too(tmp_path: Path) -> None:
    case, one = fhir.contained(report(tmp_path), "x")["contained"]
    assert [note["text"][:19] for note in case["note"]] == ["Prior of 2025-11-03", NOTICE[:19]]
    assert len(one["note"]) == 1


def test_a_study_that_is_not_judged_has_a_conclusion_only(tmp_path: Path) -> None:
    content = hl7.message(report(tmp_path, excluded="lateral view"))
    found = [fields for fields in segments(content) if fields[0] == "OBX"]
    assert [fields[5].split(".")[0] for fields in found][:1] == ["Not processed"]
    assert not any(fields[2] in ("CWE", "NM") for fields in found)


HEADERS = {
    "usual": {},
    "delimiters": {"PatientName": r"O|Neill~X^A&B", "AccessionNumber": "7|8^9"},
    "scripts": {
        "SpecificCharacterSet": "ISO_IR 192",
        "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    },
    "line ends": {"PatientID": "A\r\nPID|1||B"},
    "prefix and suffix": {"PatientName": "Curie^Marie^S^Dr^MD"},
    "no patient": {"PatientName": "", "PatientID": "", "PatientSex": "", "AccessionNumber": ""},
}


@pytest.mark.parametrize("changes", HEADERS.values(), ids=list(HEADERS))
def test_messages_are_valid(tmp_path: Path, changes: dict[str, Any]) -> None:
    pytest.importorskip("hl7apy", reason="needs hl7apy")
    from hl7apy.parser import parse_message

    content = hl7.message(report(tmp_path, **changes), "RIS")
    parsed = parse_message(content.decode())
    if not changes.get("PatientID", "x"):
        # PID-3 is required, and there is none.
        parsed.ORU_R01_PATIENT_RESULT.ORU_R01_PATIENT.PID.PID_3 = "x"
    assert parsed.validate()
    kinds = [segment[0] for segment in segments(content)]
    assert kinds[:4] == ["MSH", "SFT", "PID", "OBR"]
    assert set(kinds[4:]) == {"OBX"}


def test_names_are_escaped_and_in_order(tmp_path: Path) -> None:
    def name(**changes: Any) -> str:
        return of(hl7.message(report(tmp_path, **changes)), "PID")[5]

    assert name(**HEADERS["delimiters"]) == r"O\F\Neill\R\X^A\T\B^^^^^L^A"
    assert name(**HEADERS["prefix and suffix"]) == "Curie^Marie^S^MD^Dr^^L^A"
    assert name(**HEADERS["scripts"]) == (
        "Yamada^Tarou^^^^^L^A~山田^太郎^^^^^L^I~やまだ^たろう^^^^^L^P"
    )
    accession = of(hl7.message(report(tmp_path, **HEADERS["delimiters"])), "OBR")[18]
    assert accession == r"7\F\8\S\9"


@dataclass
class Receiver:
    """A receiver of messages; `answers` makes the acknowledgement of each."""

    port: int
    answers: Callable[[bytes], bytes | None]
    received: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Return its address as a destination."""
        return f"mllp://RIS@127.0.0.1:{self.port}"


def acknowledge(code: str, identifier: bytes | None = None) -> Callable[[bytes], bytes]:
    """Return a function that acknowledges a message."""

    def answer(content: bytes) -> bytes:
        known = identifier or content.split(b"|")[9]
        return b"\x0bMSH|^~\\&|RIS\rMSA|" + code.encode() + b"|" + known + b"\r\x1c\r"

    return answer


@contextmanager
def receiver(
    answers: Callable[[bytes], bytes | None], context: ssl.SSLContext | None = None
) -> Iterator[Receiver]:
    """Provide a receiver that listens; after None it closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        made = Receiver(server.getsockname()[1], answers)

        def serve() -> None:
            while True:
                try:
                    connection = server.accept()[0]
                    if context is not None:
                        connection = context.wrap_socket(connection, server_side=True)
                except ssl.SSLError:
                    continue
                except OSError:
                    return
                # The sender may have gone.
                with connection, suppress(OSError):
                    content = b""
                    while not content.endswith(b"\x1c\r") and (part := connection.recv(65536)):
                        content += part
                    if not content:
                        continue
                    made.received.append(content.removeprefix(b"\x0b").removesuffix(b"\x1c\r"))
                    if (reply := made.answers(content)) is not None:
                        connection.sendall(reply)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield made
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def test_a_study_is_reported_by_hl7(tmp_path: Path, tiny_model: Path) -> None:
    image = radiograph(tmp_path / "1.dcm", 3)
    codes = iter(["AE", "AA"])

    def answer(content: bytes) -> bytes:
        return acknowledge(next(codes))(content)

    with (
        receiver(answer) as ris,
        node(tmp_path / "data", tiny_model, destinations=(parse(ris.url),)) as client,
    ):
        assert send(client.app.state.node.port, image) == [0]
        wait_for(lambda: delivered(client))
        (done,) = delivered(client)
        (result,) = client.get("/v1/predictions").json()["items"]
    assert (done["destination"], done["attempts"]) == (ris.url, 2)
    # A receiver recognises the second attempt by the control id.
    first, second = ris.received
    assert first == second
    number = float(next(fields for fields in segments(first) if fields[2] == "NM")[5])
    assert number == pytest.approx(result["probability"], abs=1e-6)
    assert CANARY in of(first, "PID")[5]


ANSWERS: dict[str, Callable[[bytes], bytes | None]] = {
    "ack-ae": acknowledge("AE"),
    "ack-cr": acknowledge("CR"),
    "other-ack": acknowledge("AA", b"123"),
    "no-ack": lambda _: b"\x0bMSH|^~\\&|RIS\r\x1c\r",
    "interrupted": lambda _: b"\x0bMSH|",
}


@pytest.mark.parametrize("code", ANSWERS)
def test_refusals_have_a_code(tmp_path: Path, code: str) -> None:
    data = report(tmp_path)
    with receiver(ANSWERS[code]) as ris, pytest.raises(DeliveryError) as caught:
        parse(ris.url).send([data], "NANORAY")
    assert caught.value.code == code


def test_an_endless_answer_is_cut_off(tmp_path: Path) -> None:
    data = report(tmp_path)
    with receiver(lambda _: b"x" * (1 << 24)) as ris, pytest.raises(DeliveryError) as caught:
        parse(ris.url).send([data], "NANORAY")
    assert caught.value.code == "no-ack"


def test_nobody_listens(tmp_path: Path) -> None:
    data = report(tmp_path)
    with receiver(acknowledge("AA")) as ris:
        pass
    with pytest.raises(DeliveryError) as caught:
        parse(ris.url).send([data], "NANORAY")
    assert caught.value.code == "unreachable"


def test_messages_go_over_tls(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    data = report(tmp_path)
    trusted = ssl.create_default_context(cafile=str(certificate))
    with receiver(acknowledge("CA"), context) as ris:
        url = ris.url.replace("mllp://", "mllps://")
        destination = parse(url, tls=trusted)
        assert destination.name == url
        destination.send([data], "NANORAY")
        # Without its authority the receiver is not trusted, and gets nothing.
        with pytest.raises(DeliveryError, match="unreachable"):
            parse(url).send([data], "NANORAY")
    assert len(ris.received) == 1


@pytest.mark.parametrize(
    "url", ["mllp://host", "mllp://RIS@:2575", "mllp://host:x", "mllps://A|B@host:1"]
)
def test_wrong_addresses_are_refused(url: str) -> None:
    with pytest.raises(NanoRayError, match=r"mllp://\[APPLICATION@\]HOST:PORT|malformed"):
        parse(url)


@pytest.mark.parametrize("url", ["mllp://RIS@host:2575", "fhir+https://server.example/fhir"])
def test_both_need_the_report(url: str) -> None:
    NodeSettings(destinations=(url,), kinds=("sr",)).check()
    with pytest.raises(NanoRayError, match="--send-as sr"):
        NodeSettings(destinations=(url,), kinds=("sc",)).check()


def test_another_receiver_takes_the_message(tmp_path: Path, tiny_model: Path) -> None:
    """The MLLP server of hl7apy, which parses each message and makes its own acknowledgement."""
    mllp = pytest.importorskip("hl7apy.mllp", reason="needs hl7apy")
    from hl7apy.core import Message
    from hl7apy.parser import parse_message

    parsed = []

    class Results(mllp.AbstractHandler):  # type: ignore[misc, name-defined]
        def reply(self) -> str:
            message = parse_message(self.incoming_message)
            assert message.validate()
            parsed.append(message)
            answer = Message("ACK", version="2.5.1")
            answer.MSH.MSH_9 = "ACK^R01^ACK"
            answer.MSH.MSH_10 = "1"
            answer.MSA.MSA_1 = "AA"
            answer.MSA.MSA_2 = message.MSH.MSH_10.value
            return str(answer.to_mllp())

    image = radiograph(tmp_path / "1.dcm", 3)
    with mllp.MLLPServer("127.0.0.1", 0, {"ORU^R01^ORU_R01": (Results,)}) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"mllp://RIS@127.0.0.1:{server.server_address[1]}"
        with node(tmp_path / "data", tiny_model, destinations=(parse(url),)) as client:
            assert send(client.app.state.node.port, image) == [0]
            wait_for(lambda: delivered(client))
            (done,) = delivered(client)
        server.shutdown()
    assert (done["destination"], done["attempts"]) == (url, 1)
    (message,) = parsed
    result = message.ORU_R01_PATIENT_RESULT
    assert str(image.AccessionNumber) in result.ORU_R01_ORDER_OBSERVATION.OBR.OBR_3.to_er7()
    assert CANARY in result.ORU_R01_PATIENT.PID.PID_5.to_er7()
