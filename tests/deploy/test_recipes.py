"""Recipes of the operations guide, run word for word."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

from nanoray.datasets.phantom import draw, write_dicom
from recipes import INSTALLED, ROOT, blocks, can_isolate, run

pytestmark = pytest.mark.skipif(
    not can_isolate(), reason="needs root, and permission to make namespaces"
)
ORTHANC_UNIT = Path("/lib/systemd/system/orthanc.service")
ORTHANC_PYTHON = Path("/usr/share/orthanc/plugins/libOrthancPython.so")

# `nanoray` as on the PATH of whoever follows the guide, with a model for phantoms.
NANORAY = """
cd {folder}
exec {python} -m nanoray "$@" --model {model} --data {folder}/data >{folder}/nanoray.log 2>&1
"""
SERVING = 'until grep -qs "serving on" {folder}/nanoray.log; do sleep 0.2; done\n'


@pytest.fixture
def certificate(tmp_path: Path) -> None:
    """Provide a certificate for nanoray.example, in the folder that commands run in."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    (tmp_path / "here").mkdir()
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=nanoray.example", "-addext", "subjectAltName=DNS:nanoray.example"]
    command += ["-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=tmp_path / "here", check=True, capture_output=True)


@pytest.mark.skipif(
    not (ORTHANC_PYTHON.exists() and ORTHANC_UNIT.exists() and shutil.which("storescu")),
    reason="needs Debian's Orthanc: apt-get install orthanc orthanc-python dcmtk curl",
)
def test_orthanc(tmp_path: Path, tiny_model: Path) -> None:
    install, serve, send = blocks("Orthanc")
    values = {"folder": tmp_path, "python": sys.executable, "model": tiny_model}
    (tmp_path / "here").mkdir()
    write_dicom(draw(21, size=300, opacity=True), tmp_path / "here" / "radiograph.dcm")
    modality = str(pydicom.dcmread(tmp_path / "here" / "radiograph.dcm").Modality)
    # No systemd in a container: start what Debian's unit starts, as the unit's user.
    systemctl = r"""
        test "$*" = "restart orthanc"
        user=$(sed -n 's/^User=//p' {unit}); command=$(sed -n 's/^ExecStart=//p' {unit})
        setpriv --reuid="$user" --regid="$user" --init-groups $command >{folder}/orthanc.log 2>&1 &
        until curl -sf http://127.0.0.1:8042/system >/dev/null; do kill -0 $!; sleep 0.2; done
    """
    done = run(
        f"{install}\n({serve}) &\n{SERVING.format(**values)}{send}",
        tmp_path,
        places=["/etc/orthanc", "/var/lib/orthanc", "/var/log/orthanc"],
        shims={
            "apt-get": INSTALLED,
            "systemctl": systemctl.format(unit=ORTHANC_UNIT, **values),
            "nanoray": NANORAY.format(**values),
        },
    )
    # The guide's last command lists the modalities of the study's series.
    assert set(re.findall(r'"Modality" : "(\w+)"', done.stdout)) == {modality, "SR", "OT"}
    # Of Debian's files, only the one that names the Python script has changed.
    changed = [
        path.name
        for path in Path("/etc/orthanc").iterdir()
        if (tmp_path / "root/etc/orthanc" / path.name).read_bytes() != path.read_bytes()
    ]
    assert changed == ["python.json"]
    assert not Path("/etc/orthanc/nanoray.json").exists()


@pytest.mark.skipif(
    shutil.which("nginx") is None, reason="needs nginx: apt-get install nginx-light"
)
@pytest.mark.usefixtures("certificate")
def test_nginx(tmp_path: Path, tiny_model: Path) -> None:
    (recipe,) = blocks("nginx")
    *install, serve = recipe.strip().splitlines()
    values = {"folder": tmp_path, "python": sys.executable, "model": tiny_model}
    write_dicom(draw(3, size=1400), tmp_path / "here" / "large.dcm")
    assert (tmp_path / "here" / "large.dcm").stat().st_size > 3_000_000
    ask = "curl -sS --max-time 60 --cacert cert.pem --resolve nanoray.example:443:127.0.0.1"
    at = "https://nanoray.example/v1"
    script = "\n".join(
        [
            *install,
            f"({serve} --no-auth) &",
            SERVING.format(**values),
            # News arrive at once, from a response that does not end.
            f"({ask} -N {at}/events || true) >events &",
            "until grep -q ready events; do sleep 0.1; done",
            # More than nginx's own limit, from the service's own page.
            f"{ask} -H 'Origin: https://nanoray.example' -F files=@large.dcm {at}/predictions",
            "until grep -q 'event: prediction' events; do sleep 0.1; done",
        ]
    )
    done = run(
        script,
        tmp_path,
        places=["/etc/nginx", "/var/log/nginx"],
        shims={
            "apt-get": INSTALLED,
            "systemctl": 'test "$*" = "restart nginx"; nginx -t -q; nginx',
            "nanoray": NANORAY.format(**values),
        },
    )
    assert '"status":"done"' in done.stdout


@pytest.mark.usefixtures("certificate")
def test_systemd(tmp_path: Path, tiny_model: Path) -> None:
    (recipe,) = blocks("systemd")
    (tmp_path / "here" / "dist").mkdir()
    (tmp_path / "here" / "dist" / "nanoray-0.0.0-py3-none-any.whl").touch()
    # This environment stands for the one with the wheel. Who runs it stays root, since the user
    # nanoray may not reach a Python below root's home.
    venv = f"""
        test "$*" = "-m venv /opt/nanoray"; mkdir -p /opt/nanoray/bin
        printf '#!/bin/sh\ntest -f "${{4%%\\[*}}"' >/opt/nanoray/bin/pip
        printf '#!/bin/sh\nexec "{sys.executable}" -m nanoray "$@"' >/opt/nanoray/bin/nanoray
        chmod 0755 /opt/nanoray/bin/*
    """
    start = f"""
        test "$1" = daemon-reload && exit
        test "$*" = "enable --now nanoray"
        unit=/etc/systemd/system/nanoray.service
        command=$(sed -n 's/^ExecStart=//p' $unit)
        file=$(sed -n 's/^EnvironmentFile=-//p' $unit)
        command=${{command/\\$NANORAY_OPTIONS/$(sed 's/^NANORAY_OPTIONS=//' "$file")}}
        $command --model {tiny_model} >{tmp_path}/nanoray.log 2>&1 &
    """
    check = (
        SERVING.format(folder=tmp_path)
        + "curl -sS --cacert cert.pem --resolve nanoray.example:8080:127.0.0.1 "
        "https://nanoray.example:8080/readyz; echo\nstat -c '%U %a' /var/lib/nanoray"
    )
    done = run(
        recipe + check,
        tmp_path,
        places=["/etc"],
        shims={"python3": venv, "systemctl": start, "runuser": 'shift 3; exec "$@"'},
        empty=["/opt", "/var/lib"],
    )
    key, ready, owner = done.stdout.strip().splitlines()
    assert key.startswith("nr_")
    assert '"status":"ok"' in ready
    assert owner == "nanoray 700"


def test_compose_file() -> None:
    if shutil.which("docker-compose") is None:
        pytest.skip("needs docker-compose: apt-get install docker-compose")
    done = subprocess.run(
        ["docker-compose", "-f", str(ROOT / "deploy/compose.yaml"), "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "invalid" not in done.stderr
