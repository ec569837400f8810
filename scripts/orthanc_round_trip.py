"""A radiograph's way from Orthanc to NanoRay and back, as a transcript for the documentation.

Starts both on this machine. Needs Debian's orthanc, orthanc-dicomweb, dcmtk and dicom3tools, and
the extra serve.

    python scripts/orthanc_round_trip.py > docs/results/orthanc-transcript.txt
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import without_abstaining

sys.path.append(str(Path(__file__).parent.parent / "tests" / "support"))

from dicom_peers import free_port, orthanc, radiograph

HIDDEN = "(paths, ports and times differ from run to run)"


def say(command: str, *arguments: object) -> None:
    """Run a command and print it with its output."""
    shown = " ".join([command, *(str(Path(str(part)).name or part) for part in arguments)])
    done = subprocess.run(
        [command, *map(str, arguments)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    print(f"$ {shown}")
    said = (done.stdout + done.stderr).replace(tempfile.gettempdir(), "...").strip()
    print(said or f"(nothing, exit code {done.returncode})")
    print()


def main() -> None:
    """Go the way, and print it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = radiograph(folder / "radiograph.dcm", 21, PatientName="Phantom^Synthetic")
        image.PatientID = image.AccessionNumber = "PHANTOM"
        image.save_as(folder / "radiograph.dcm")
        port = free_port()
        with orthanc(folder / "orthanc", port) as pacs:
            command = [sys.executable, "-m", "nanoray", "serve", "--no-auth", "--port", "0"]
            command += ["--model", str(without_abstaining.write(folder / "model.onnx"))]
            command += ["--data", f"{name}/data", "--dicom-port", str(port)]
            command += [
                "--allow-ae",
                "ORTHANC",
                "--study-wait",
                "1",
                "--timeout",
                "600",
                "--threshold",
                "0.001",
            ]
            command += ["--send-to", f"dicom://ORTHANC@127.0.0.1:{pacs.dicom}"]
            server = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            try:
                assert server.stdout is not None
                print("A synthetic radiograph: modality -> Orthanc -> NanoRay -> Orthanc")
                print(HIDDEN)
                print()
                print("$ nanoray serve --no-auth --dicom-port ... --allow-ae ORTHANC --send-to ...")
                for line in server.stdout:
                    print(line.strip())
                    if "serving on" in line:
                        url = line.split()[-1]
                        break
                print()
                round_trip(folder, url, pacs, image.StudyInstanceUID)
            finally:
                server.terminate()
                _, log = server.communicate()
        print("What NanoRay logged:")
        print("\n".join(line for line in log.splitlines() if '"/v1' not in line))


def round_trip(folder: Path, url: str, pacs: object, study: str) -> None:
    """Send the radiograph to Orthanc, have it routed, and look at what came back."""
    port = pacs.dicom  # type: ignore[attr-defined]
    file = folder / "radiograph.dcm"
    say("storescu", "-v", "-aet", "MODALITY", "-aec", "ORTHANC", "127.0.0.1", port, file)
    (found,) = pacs.post(  # type: ignore[attr-defined]
        "/tools/find", {"Level": "Study", "Query": {"StudyInstanceUID": study}}
    )
    print("Orthanc sends the study to NanoRay (its route script does so by itself):")
    answer = pacs.post("/modalities/nanoray/store", found)  # type: ignore[attr-defined]
    print(f"instances {answer['InstancesCount']}, failed {answer['FailedInstancesCount']}")
    print()
    while not (
        done := httpx.get(f"{url}/v1/dicom/deliveries?status=delivered", timeout=60).json()["items"]
    ):
        time.sleep(0.2)
    print(f"NanoRay delivered the report after {done[0]['attempts']} attempt(s).")
    print()
    print("The study in Orthanc now:")
    objects = sorted(pacs.instances(study), key=lambda item: str(item.Modality))  # type: ignore[attr-defined]
    for item in objects:
        print(f"  {item.Modality}: {item.get('SeriesDescription', 'the radiograph')}")
    print(f"  one study: {len({item.StudyInstanceUID for item in objects}) == 1}")
    print()
    for item in objects:
        if item.Modality == "DX":
            continue
        path = folder / f"{item.Modality}.dcm"
        item.save_as(path, enforce_file_format=True)
        say("dciodvfy", path)
    say("dsrdump", folder / "SR.dcm")


if __name__ == "__main__":
    main()
