"""`nanoray serve`: the HTTP service, the DICOM node and the worklist page."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nanoray.commands.extras import require_extra
from nanoray.commands.options import Guarantee

if TYPE_CHECKING:
    from nanoray.serving.dicom.settings import NodeSettings

# `nanoray.serving.settings.Patients`, which needs the extra.
Patients = Literal["nobody", "read", "submit", "admin"]

_MIB = 1024 * 1024


def serve(
    data: Annotated[
        Path,
        typer.Option(metavar="DIR", file_okay=False, help="Folder of the spool and the database."),
    ] = Path("nanoray-data"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free port.")] = 8080,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Require no API key; only on loopback.")
    ] = False,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Answer only requests for this host name; may be repeated."
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate for HTTPS (PEM).")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key (PEM).")] = None,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="NANORAY_DATABASE",
            help="postgresql://... instead of SQLite in the data folder.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A model file; the packaged model by default."),
    ] = None,
    operating_point: Annotated[
        str | None, typer.Option(metavar="NAME", help="screening, balanced or confirm.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="A threshold, instead of an operating point."),
    ] = None,
    guarantee: Guarantee = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that read files.", show_default="one per processor"),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, max=64, help="Largest number of files for one run of the network.")
    ] = 8,
    queue_limit: Annotated[
        int, typer.Option(min=1, help="Waiting files of requests before answers are 503.")
    ] = 256,
    max_upload: Annotated[
        int, typer.Option(min=1, metavar="MIB", help="Largest file in MiB.")
    ] = 128,
    max_request: Annotated[
        int, typer.Option(min=1, metavar="MIB", help="Largest request in MiB.")
    ] = 1024,
    max_files: Annotated[
        int, typer.Option(min=1, help="Largest number of files in a request.")
    ] = 1000,
    max_megapixels: Annotated[
        int, typer.Option(min=1, max=100, help="Largest image in megapixels.")
    ] = 40,
    rate_limit: Annotated[
        int, typer.Option(min=0, help="Requests a minute for one key or address; 0 for no limit.")
    ] = 1200,
    patients: Annotated[
        Patients,
        typer.Option(
            help="Lowest role that sees and searches patients' names, identifiers and dates; "
            "nobody: they are not stored in the database either."
        ),
    ] = "submit",
    map_: Annotated[
        bool,
        typer.Option(
            "--map/--no-map",
            help="Store, show and report the map of local evidence.",
        ),
    ] = True,
    viewer_link: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Address of a study in your PACS viewer, with {study_uid}, {accession} or "
            "{patient_id}.",
        ),
    ] = None,
    lock_minutes: Annotated[
        float,
        typer.Option(
            min=0.0, help="Minutes without use after which the page forgets its key; 0: never."
        ),
    ] = 15.0,
    keep_days: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Days after which files and results are deleted.", show_default="keep"
        ),
    ] = None,
    store_nothing: Annotated[
        bool,
        typer.Option("--store-nothing", help="Do not store files and results of a request."),
    ] = False,
    dicom_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Accept images by C-STORE on this port; 0: a free one."
        ),
    ] = None,
    dicom_host: Annotated[
        str | None,
        typer.Option(help="Address of the DICOM node.", show_default="that of --host"),
    ] = None,
    ae_title: Annotated[str, typer.Option(help="AE title of the DICOM node.")] = "NANORAY",
    allow_ae: Annotated[
        list[str] | None,
        typer.Option(metavar="TITLE", help="AE title that may send images; may be repeated."),
    ] = None,
    send_to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="Destination of reports on studies: dicom://TITLE@HOST:PORT, dicoms:// with TLS, "
            "or the https:// address of a DICOMweb server; may be repeated.",
        ),
    ] = None,
    dicomweb: Annotated[
        str | None,
        typer.Option(metavar="URL", help="DICOMweb server for fetching studies."),
    ] = None,
    dicom_tls: Annotated[
        bool,
        typer.Option("--dicom-tls", help="Use TLS for C-STORE, with --tls-cert and --tls-key."),
    ] = False,
    tls_ca: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Authority (PEM) of the certificates of DICOM peers and destinations.",
        ),
    ] = None,
    study_wait: Annotated[
        float, typer.Option(min=0.0, help="Seconds without a new image that end a study.")
    ] = 5.0,
    delivery_attempts: Annotated[
        int,
        typer.Option(
            min=1, help="Attempts before a delivery is marked dead; the default lasts three days."
        ),
    ] = 300,
    delivery_pause: Annotated[
        float, typer.Option(min=0.05, help="Seconds before the second attempt; then doubled.")
    ] = 5.0,
    send_as: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help="Objects to send: sr (Structured Report), sc (Secondary Capture), seg "
            "(Segmentation), gsps (presentation state); may be repeated.",
            show_default="sr, sc",
        ),
    ] = None,
    send_map: Annotated[
        bool,
        typer.Option(
            "--send-map/--no-send-map",
            help="Include the location of the evidence in the sent objects.",
        ),
    ] = True,
    send_unprocessed: Annotated[
        bool,
        typer.Option(
            "--send-unprocessed", help="Also report images without a decision, with the reason."
        ),
    ] = False,
    priors: Annotated[
        int,
        typer.Option(
            min=0,
            max=2,
            help="Earlier radiographs of a patient to fetch from --dicomweb, judge and compare.",
        ),
    ] = 0,
    storage_commitment: Annotated[
        bool,
        typer.Option(
            "--storage-commitment",
            help="Ask DICOM destinations to confirm that they keep what they were sent.",
        ),
    ] = False,
    audit_syslog: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Syslog server for the audit log: udp://, tcp:// or tls://."
        ),
    ] = None,
    audit_ca: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Authority (PEM) of the syslog server's certificate.",
            show_default="the system's",
        ),
    ] = None,
    oidc_issuer: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="OpenID Connect issuer of bearer tokens, in addition to API keys.",
        ),
    ] = None,
    oidc_audience: Annotated[
        str | None, typer.Option(metavar="NAME", help="Required audience of the tokens.")
    ] = None,
    oidc_keys: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            help="File or https:// address of the issuer's key set (JWKS).",
            show_default="by discovery",
        ),
    ] = None,
    oidc_claim: Annotated[
        str, typer.Option(metavar="NAME", help="Claim with the roles, such as realm_access.roles.")
    ] = "roles",
    oidc_role: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VALUE=ROLE",
            help="Role (read, submit, admin) for a value of the claim; may be repeated.",
            show_default="values are the roles' names",
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds after which reading a file is stopped.")
    ] = 30.0,
    answer_timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds after which a request is answered 202.")
    ] = 60.0,
    drain: Annotated[
        float, typer.Option(min=0.0, help="Seconds to finish accepted work when stopping.")
    ] = 30.0,
) -> None:
    """Serve screening over HTTP, with a worklist page, and as a DICOM node.

    Make an API key first: nanoray keys add NAME.
    """
    require_extra("serve")
    from nanoray.reading.pool import default_workers
    from nanoray.serving.http.server import Address, is_loopback, run
    from nanoray.serving.settings import Settings

    if operating_point is not None and threshold is not None:
        raise typer.BadParameter("give --operating-point or --threshold, not both")
    if no_auth and not is_loopback(host):
        raise typer.BadParameter(
            f"--no-auth is allowed only on loopback, but {host} can be reached from elsewhere"
        )
    if (tls_cert is None) != (tls_key is None):
        raise typer.BadParameter("--tls-cert and --tls-key require each other")
    if dicom_tls and tls_cert is None:
        raise typer.BadParameter("--dicom-tls needs --tls-cert and --tls-key")
    for path in (tls_cert, tls_key, tls_ca, audit_ca):
        if path is not None and not path.is_file():
            raise typer.BadParameter(f"{path}: no such file")
    if viewer_link is not None and not viewer_link.startswith(("https://", "http://")):
        raise typer.BadParameter("--viewer-link must begin with https:// or http://")
    settings = Settings(
        data=data,
        database=database,
        model=model,
        operating_point=operating_point,
        threshold=threshold,
        guarantee=guarantee,
        no_auth=no_auth,
        allowed_hosts=tuple(allowed_host or ()),
        tls=tls_cert is not None,
        store_nothing=store_nothing,
        keep_days=keep_days,
        workers=workers or default_workers(),
        read_timeout=timeout,
        batch_size=batch_size,
        queue_limit=queue_limit,
        max_file_bytes=max_upload * _MIB,
        max_request_bytes=max(max_request, max_upload + 1) * _MIB,
        max_files=max_files,
        max_pixels=max_megapixels * 1_000_000,
        rate_limit=rate_limit,
        patients=patients,
        show_map=map_,
        viewer_link=viewer_link,
        lock_minutes=lock_minutes,
        answer_timeout=answer_timeout,
        drain_timeout=drain,
        audit_syslog=audit_syslog,
        audit_ca=audit_ca,
        oidc_issuer=oidc_issuer,
        oidc_audience=oidc_audience,
        oidc_keys=oidc_keys,
        oidc_claim=oidc_claim,
        oidc_roles=tuple(oidc_role or ()),
    )
    from nanoray.detecting.model_file import NOTICE
    from nanoray.serving import journal
    from nanoray.serving.dicom.node import Node
    from nanoray.serving.http.application import create
    from nanoray.serving.service import Service
    from nanoray.serving.storage.keys import listed as has_keys

    of_node = None
    if dicom_port is not None or dicomweb is not None:
        of_node = _node_settings(
            host=dicom_host or host,
            port=dicom_port,
            title=ae_title,
            allowed_titles=tuple(allow_ae or ()),
            send_to=send_to or [],
            source=dicomweb,
            certificates=(tls_cert, tls_key, tls_ca) if dicom_tls else (None, None, tls_ca),
            numbers=(study_wait, delivery_attempts, delivery_pause),
            kinds=tuple(dict.fromkeys(send_as or ("sr", "sc"))),
            localise=send_map and map_,
            report_unprocessed=send_unprocessed,
            commitment=storage_commitment,
            priors=priors,
        )
        # Before the service locks the data folder.
        of_node.check()
    elif send_to:
        raise typer.BadParameter("--send-to needs the DICOM node: give --dicom-port")

    # Other users of this machine must not read the spool, which contains radiographs.
    os.umask(0o077)
    try:
        service = Service(settings)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None

    node = None if of_node is None else Node(service, of_node)
    if of_node is not None and dicom_tls and tls_cert is not None and tls_key is not None:
        service.chores += _renewals(of_node, tls_cert, tls_key)

    def listening(address: str) -> None:
        typer.echo(f"nanoray: {NOTICE}")
        if not no_auth and not has_keys(service.keyring.database):
            typer.echo("nanoray: no API key exists; make one with nanoray keys add NAME", err=True)
        if tls_cert is None and not is_loopback(host):
            typer.echo(
                "nanoray: keys and radiographs are sent unencrypted; give --tls-cert", err=True
            )
        if node is not None and node.port is not None:
            typer.echo(f"nanoray: DICOM node {ae_title} on port {node.port}")
        typer.echo(f"nanoray: serving on {address}")

    journal.configure()
    run(
        create(service, node),
        Address(host, port, tls_cert, tls_key),
        listening=listening,
    )


def _renewals(settings: NodeSettings, certificate: Path, key: Path) -> list[Callable[[], object]]:
    """Return a function that reloads the node's certificate after a change."""
    from nanoray.serving.certificates import Renewal

    peers = [getattr(one, "tls", None) for one in settings.destinations]
    contexts = {id(one): one for one in (settings.tls, *peers) if one is not None}
    return [Renewal(context, certificate, key).check for context in contexts.values()]


def _node_settings(
    *,
    host: str,
    port: int | None,
    title: str,
    allowed_titles: tuple[str, ...],
    send_to: list[str],
    source: str | None,
    certificates: tuple[Path | None, Path | None, Path | None],
    numbers: tuple[float, int, float],
    kinds: tuple[str, ...],
    localise: bool,
    report_unprocessed: bool,
    commitment: bool,
    priors: int,
) -> NodeSettings:
    import ssl

    from nanoray.serving.dicom.destinations import WebDestination, parse
    from nanoray.serving.dicom.findings import KINDS
    from nanoray.serving.dicom.node import tls_context
    from nanoray.serving.dicom.settings import NodeSettings

    certificate, key, authority = certificates
    incoming = outgoing = None
    if certificate is not None and key is not None:
        incoming = tls_context(certificate, key, authority, server=True)
        outgoing = tls_context(certificate, key, authority, server=False)
    elif authority is not None:
        outgoing = ssl.create_default_context(cafile=str(authority))
    web = None
    if source is not None:
        parsed = parse(source, tls=outgoing)
        if not isinstance(parsed, WebDestination):
            raise typer.BadParameter("--dicomweb must be an http:// or https:// address")
        web = parsed
    study_wait, attempts, pause = numbers
    return NodeSettings(
        host=host,
        port=port,
        title=title,
        allowed_titles=allowed_titles,
        tls=incoming,
        destinations=tuple(parse(text, tls=outgoing) for text in send_to),
        source=web,
        quiet_seconds=study_wait,
        attempts=attempts,
        first_pause=pause,
        kinds=tuple(kind for kind in KINDS if kind in kinds) if set(kinds) <= set(KINDS) else (),
        localise=localise,
        report_unprocessed=report_unprocessed,
        commitment=commitment,
        priors=priors,
    )
