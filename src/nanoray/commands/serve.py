"""`nanoray serve`: the HTTP service, the DICOM node and the worklist page."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import typer

from nanoray.commands.extras import require_extra
from nanoray.commands.options import settings_parameters, settings_values, with_parameters
from nanoray.errors import NanoRayError
from nanoray.serving.dicom.settings import NodeSettings
from nanoray.serving.settings import MIB, Settings, is_loopback

_NODE = "dicom_"
"""Prefix of the parameters that are the DICOM node's."""


def _serve(**options: Any) -> None:
    """Serve screening over HTTP, with a worklist page, and as a DICOM node.

    Make an API key first: nanoray keys add NAME.
    """
    require_extra("serve")
    settings = settings_values(Settings, options)
    # A request must have room for one file of the largest size.
    most = max(settings.max_request_bytes, settings.max_file_bytes + MIB)
    settings = replace(settings, max_request_bytes=most)
    settings.check()
    node_settings = settings_values(NodeSettings, options, prefix=_NODE)

    from nanoray.detecting.model_file import NOTICE
    from nanoray.serving import journal
    from nanoray.serving.certificates import Renewal
    from nanoray.serving.dicom.node import Node
    from nanoray.serving.dicom.peers import connect
    from nanoray.serving.http.application import create
    from nanoray.serving.http.server import run
    from nanoray.serving.service import Service
    from nanoray.serving.storage.keys import listed as has_keys

    # Before the service locks the data folder.
    peers = connect(node_settings, settings.tls_cert, settings.tls_key)
    node_settings.check()
    node_settings.check_used()
    wanted = node_settings.port is not None or node_settings.source is not None

    # Other users of this machine must not read the spool, which contains radiographs.
    os.umask(0o077)
    try:
        service = Service(settings)
    except ValueError as error:
        raise NanoRayError(str(error)) from None
    node = Node(service, node_settings, peers) if wanted else None
    if node_settings.tls and settings.tls_cert is not None and settings.tls_key is not None:
        service.chores += [
            Renewal(context, settings.tls_cert, settings.tls_key).check
            for context in peers.contexts
        ]

    def listening(address: str) -> None:
        typer.echo(f"nanoray: {NOTICE}")
        if not settings.no_auth and not has_keys(service.keyring.database):
            typer.echo("nanoray: no API key exists; make one with nanoray keys add NAME", err=True)
        if not settings.tls and not is_loopback(settings.host):
            typer.echo(
                "nanoray: keys and radiographs are sent unencrypted; give --tls-cert", err=True
            )
        if node is not None and node.port is not None:
            typer.echo(f"nanoray: DICOM node {node_settings.title} on port {node.port}")
        typer.echo(f"nanoray: serving on {address}")

    journal.configure()
    run(create(service, node), listening=listening)


serve = with_parameters(
    _serve, [*settings_parameters(Settings), *settings_parameters(NodeSettings, prefix=_NODE)]
)
