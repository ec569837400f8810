"""Screenshots of NanoRay's DICOM objects in the OHIF viewer, with a synthetic radiograph.

A modality's image goes to NanoRay, the results go to Orthanc, and OHIF shows them from there. Needs
Debian's orthanc, orthanc-dicomweb, dcmtk, nginx and chromium, the extras serve and dev, and a built
OHIF (`npm pack @ohif/app` has it in package/dist).

    python scripts/ohif_screenshots.py OHIF_DIST docs/images
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import without_abstaining
from playwright.sync_api import Page, sync_playwright

from nanoray.serving.dicom.settings import KINDS

sys.path.append(str(Path(__file__).parent.parent / "tests" / "support"))

from dicom_peers import Orthanc, free_port, orthanc, radiograph, storescu

MINUTE: Final = 60_000
CONFIGURATION: Final = {
    "routerBasename": "/",
    "showStudyList": True,
    "extensions": [],
    "modes": [],
    "showErrorDetails": "always",
    "defaultDataSourceName": "dicomweb",
    "dataSources": [
        {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "dicomweb",
            "configuration": {
                "friendlyName": "Orthanc",
                "name": "Orthanc",
                "wadoUriRoot": "/wado",
                "qidoRoot": "/dicom-web",
                "wadoRoot": "/dicom-web",
                "qidoSupportsIncludeField": False,
                "supportsReject": False,
                "supportsFuzzyMatching": False,
                "supportsWildcard": True,
                "imageRendering": "wadors",
                "thumbnailRendering": "wadors",
                "enableStudyLazyLoad": True,
                "omitQuotationForMultipartRequest": True,
                "bulkDataURI": {"enabled": True},
            },
        }
    ],
}
NGINX: Final = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{}}
http {{
    include /etc/nginx/mime.types;
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/ohif;
        location / {{ try_files $uri /index.html; }}
        location /dicom-web {{
            proxy_pass {orthanc};
            proxy_set_header Host $http_host;
        }}
    }}
}}
"""


@contextmanager
def viewer(dist: Path, folder: Path, pacs: Orthanc) -> Iterator[str]:
    """Serve OHIF beside an Orthanc; provide its address."""
    shutil.copytree(dist, folder / "ohif")
    configuration = f"window.config = {json.dumps(CONFIGURATION)};"
    (folder / "ohif" / "app-config.js").write_text(configuration, encoding="utf-8")
    port = free_port()
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, port=port, orthanc=pacs.url), encoding="utf-8")
    server = subprocess.Popen(["nginx", "-c", str(file), "-e", str(folder / "nginx.log")])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


@contextmanager
def service(folder: Path, port: int, pacs: Orthanc) -> Iterator[str]:
    """Run NanoRay with all kinds of objects; provide its address."""
    command = [sys.executable, "-m", "nanoray", "serve", "--no-auth", "--port", "0"]
    command += ["--model", str(without_abstaining.write(folder / "model.onnx"))]
    command += ["--data", str(folder / "data"), "--dicom-port", str(port), "--allow-ae", "MODALITY"]
    command += [
        "--study-wait",
        "1",
        "--seg-plane",
        "--send-to",
        f"dicom://ORTHANC@127.0.0.1:{pacs.dicom}",
    ]
    command += [part for kind in KINDS for part in ("--send-as", kind)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield next(line for line in server.stdout if "serving on" in line).split()[-1]
    finally:
        server.terminate()
        server.wait()


def fill(folder: Path, pacs: Orthanc) -> str:
    """Have a radiograph judged and all of its objects in Orthanc; return the study's UID."""
    port = free_port()
    file = folder / "radiograph.dcm"
    study = radiograph(
        file,
        21,
        PatientName="Phantom^Synthetic",
        PatientID="SYN-1021",
        AccessionNumber="A52021",
        ViewPosition="PA",
        PixelSpacing=["1.2", "1.2"],
    ).StudyInstanceUID
    with service(folder, port, pacs) as url:
        for receiver, called in ((pacs.dicom, "ORTHANC"), (port, "NANORAY")):
            sent = storescu(receiver, file, called=called)
            if sent.returncode:
                raise SystemExit(f"{called} refused the radiograph: {sent.stderr}")
        deadline = time.monotonic() + 120
        address = f"{url}/v1/dicom/deliveries?status=delivered"
        while not httpx.get(address, timeout=60).json()["items"]:
            if time.monotonic() > deadline:
                raise SystemExit("NanoRay delivered nothing in two minutes")
            time.sleep(0.2)
    return str(study)


def look(page: Page, target: Path) -> None:
    """Show the objects, one after another, and take pictures.

    OHIF 3.13 does not show presentation states.
    """
    page.get_by_text("Skip all").click()
    page.get_by_role("button", name="Confirm and hide").click()
    for name, label, answer in (
        ("sr", "triage flag", "No"),
        ("seg", "region", "Yes"),
        ("sc", "result", None),
    ):
        page.get_by_text(f"NanoRay {label}").first.dblclick()
        if answer is not None:
            page.get_by_role("button", name=answer, exact=True).click()
        page.mouse.move(650, 780)
        page.wait_for_timeout(4000)
        page.screenshot(path=target / f"ohif-{name}.png")


def main() -> None:
    """Start the peers, fill them, and look at the study."""
    dist, target = Path(sys.argv[1]), Path(sys.argv[2])
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as name, orthanc(Path(name) / "orthanc") as pacs:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's processes may run as another user.
        study = fill(folder, pacs)
        with viewer(dist, folder, pacs) as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium,
                args=["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader"],
                timeout=5 * MINUTE,
            )
            page = browser.new_page(viewport={"width": 1440, "height": 820})
            page.set_default_timeout(MINUTE)
            page.on("console", lambda message: print(message.text, file=sys.stderr))
            page.on("pageerror", lambda error: print(error, file=sys.stderr))
            page.goto(f"{url}/viewer?StudyInstanceUIDs={study}")
            look(page, target)


if __name__ == "__main__":
    main()
