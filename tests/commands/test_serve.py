"""`nanoray serve`: its options are the fields of the settings."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from nanoray.commands.app import app
from nanoray.commands.options import settings_parameters, settings_values, with_parameters
from nanoray.serving.dicom.settings import NodeSettings
from nanoray.serving.settings import MIB, Settings


def values(*arguments: str) -> tuple[Settings, NodeSettings]:
    """Return the settings from arguments of the command line."""
    found: dict[str, object] = {}
    alone = typer.Typer()
    parameters = [
        *settings_parameters(Settings),
        *settings_parameters(NodeSettings, prefix="dicom_"),
    ]

    def command(**options: object) -> None:
        found.update(options)

    alone.command()(with_parameters(command, parameters))
    result = CliRunner().invoke(alone, list(arguments))
    assert result.exit_code == 0, result.output
    return settings_values(Settings, found), settings_values(NodeSettings, found, prefix="dicom_")


def test_defaults_are_those_of_the_settings() -> None:
    assert values() == (Settings(), NodeSettings())


def test_options_become_settings_in_their_units(tmp_path: Path) -> None:
    service, node = values(
        *("--data", str(tmp_path), "--max-upload", "7", "--max-megapixels", "5", "--workers", "3"),
        *("--allowed-host", "a", "--allowed-host", "b", "--no-map", "--patients", "admin"),
        *("--dicom-port", "0", "--ae-title", "X", "--send-as", "seg", "--send-as", "sr"),
        *("--send-to", "dicom://A@b:1", "--no-send-map"),
    )
    assert service.data == tmp_path
    assert service.max_file_bytes == 7 * MIB
    assert service.max_pixels == 5_000_000
    assert service.workers == 3
    assert service.allowed_hosts == ("a", "b")
    assert (service.show_map, service.patients) == (False, "admin")
    assert (node.port, node.title, node.localise) == (0, "X", False)
    assert node.kinds == ("seg", "sr")
    assert node.destinations == ("dicom://A@b:1",)


def test_no_two_fields_have_one_option() -> None:
    names = [
        name
        for settings, prefix in ((Settings, ""), (NodeSettings, "dicom-"))
        for field in fields(settings)
        if "help" in field.metadata
        for name in field.metadata["options"] or (f"--{prefix}{field.name.replace('_', '-')}",)
    ]
    assert len(set(names)) == len(names)


NODE = ("--dicom-port", "0", "--allow-ae", "A")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--threshold", "0.5", "--operating-point", "balanced"], "not both"),
        (["--host", "0.0.0.0", "--no-auth"], "only on loopback"),
        (["--tls-cert", "x.pem"], "require each other"),
        (["--tls-cert", "x.pem", "--tls-key", "y.pem"], "x.pem: not found"),
        (["--viewer-link", "ftp://a"], "--viewer-link must begin"),
        (["--send-to", "dicom://A@b:1"], "needs the DICOM node"),
        (["--allow-ae", "A"], "--allow-ae needs the DICOM node: give --dicom-port"),
        (["--allow-ae", "A", "--dicomweb", "http://a"], "--allow-ae needs the DICOM node"),
        (["--ae-title", "A"], "--ae-title needs the DICOM node: give --dicom-port"),
        (["--study-wait", "9"], "--study-wait needs the DICOM node: give --dicom-port"),
        (["--priors", "1"], "--priors: name the server"),
        (["--send-as", "foo"], "sr, sc, seg, gsps"),
        ([*NODE, "--send-as", "sr"], "--send-as needs a destination of reports: give --send-to"),
        ([*NODE, "--no-send-map"], "--no-send-map needs a destination of reports"),
        ([*NODE, "--storage-commitment"], "--storage-commitment needs a destination of reports"),
        ([*NODE, "--dicom-tls"], "needs --tls-cert"),
        ([*NODE, "--send-as", "pdf"], "sr, sc, seg, gsps"),
        (["--dicomweb", "dicom://A@b:1"], "--dicomweb must be"),
        (["--dicomweb", "http://a", "--tls-ca", "/none.pem"], "/none.pem: not a certificate"),
    ],
)
def test_contradictions_are_refused_before_any_work(
    arguments: list[str], reason: str, tmp_path: Path
) -> None:
    result = CliRunner().invoke(app, ["serve", "--data", str(tmp_path / "new"), *arguments])
    assert result.exit_code == 2
    assert reason in result.output
    assert not (tmp_path / "new").exists()
