"""Clients and peers that are slow, silent or without end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request

from certificates import write_certificate
from dicom_nodes import node, send
from dicom_peers import radiograph
from nanoray.serving.dicom.peers import tls_context
from nanoray.serving.http.connection import Connection
from serving_helpers import PATIENCE

HEADER_SECONDS = 3.0


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[int]:
    """Provide a server that says how long a body was: its port."""
    app = FastAPI()
    app.state.service = SimpleNamespace(settings=SimpleNamespace(header_timeout=HEADER_SECONDS))

    @app.post("/")
    async def length(request: Request) -> int:
        return len(await request.body())

    config = uvicorn.Config(app, http=Connection, port=0, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the server ends the connection, by and by, without a word."""
    try:
        return await asyncio.wait_for(reader.read(), PATIENCE) == b""
    except ConnectionError:
        return True


async def silent(port: int) -> bool:
    reader, _ = await asyncio.open_connection("127.0.0.1", port)
    return await ended(reader)


async def trickling(port: int, beginning: bytes, drop: bytes) -> bool:
    """Send a little now and then, as long as possible."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(beginning)
    end = asyncio.create_task(ended(reader))
    while not end.done():
        with contextlib.suppress(ConnectionError):
            writer.write(drop)
            await writer.drain()
        await asyncio.wait([end], timeout=0.2)
    return end.result()


async def endless(port: int) -> bool:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    end = asyncio.create_task(ended(reader))
    with contextlib.suppress(ConnectionError):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nX-Long: ")
        while not end.done():
            writer.write(b"y" * 10_000)
            await writer.drain()
            await asyncio.sleep(0)
    return await end


async def answer(reader: asyncio.StreamReader) -> bytes:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
    assert head.startswith(b"HTTP/1.1 200"), head
    return await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split()[0]))


async def slow_but_honest(port: int) -> bool:
    """Give a body longer than the headers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for pause in (1.2 * HEADER_SECONDS, 0.0):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 700000\r\n\r\n")
        await asyncio.sleep(pause)
        writer.write(bytes(700_000))
        assert await answer(reader) == b"700000"
    # After which the connection is not kept for one who sends no request.
    writer.write(b"\r\n")
    return await ended(reader)


def test_slow_and_endless_headers_end_the_connection() -> None:
    async def all_of_them() -> tuple[bool, ...]:
        async with listening() as port:
            whole = b"POST / HTTP/1.1\r\nHost: x\r\n"
            return await asyncio.gather(
                silent(port),
                trickling(port, whole, b"X-A: b\r\n"),
                trickling(port, b"POST /", b"a"),
                trickling(port, b"", b"\r\n"),
                endless(port),
                slow_but_honest(port),
            )

    assert all(asyncio.run(all_of_them()))


def says_nothing_more(peer: socket.socket) -> bool:
    peer.settimeout(PATIENCE)
    try:
        return peer.recv(1) == b""
    except ConnectionError:
        return True


def test_peers_send_no_more_than_is_taken(tmp_path: Path, tiny_model: Path) -> None:
    image = radiograph(tmp_path / "1.dcm", 3)
    large = radiograph(tmp_path / "2.dcm", 4)
    large.PixelData = bytes(4_000_000)
    with node(tmp_path / "data", tiny_model, max_file_bytes=1_000_000) as client:
        port = client.app.state.node.port
        # A PDU that says that it is 4 GiB long, from anybody.
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as peer:
            peer.sendall(struct.pack(">BBL", 1, 0, 0xFFFFFFFF))
            assert says_nothing_more(peer)
        with pytest.raises(AttributeError, match="Status"):
            send(port, large)
        registry = client.app.state.service.metrics.registry
        assert registry.get_sample_value("nanoray_dicom_too_large_total") >= 2
        assert send(port, image, image) == [0, 0]
        assert client.get("/v1/predictions").json()["total"] == 1


def test_a_silent_peer_holds_up_nobody(tmp_path: Path, tiny_model: Path) -> None:
    from pynetdicom import AE

    certificate, key = write_certificate(tmp_path)
    context = tls_context(certificate, key, None, server=True)
    with node(tmp_path / "data", tiny_model, tls=context) as client:
        port = client.app.state.node.port
        with socket.create_connection(("127.0.0.1", port), PATIENCE):
            entity: Any = AE(ae_title="MODALITY")
            entity.acse_timeout = entity.dimse_timeout = PATIENCE
            entity.add_requested_context("1.2.840.10008.1.1")
            trusting = tls_context(certificate, key, certificate, server=False)
            association = entity.associate(
                "127.0.0.1", port, ae_title="NANORAY", tls_args=(trusting, "localhost")
            )
            assert association.is_established
            assert association.send_c_echo().Status == 0
            association.release()
