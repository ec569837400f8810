"""Screenshots of the worklist page with synthetic radiographs, for the documentation.

Needs the extras serve and dev, and a Chromium (Debian: apt-get install chromium).

    python scripts/worklist_screenshots.py docs/images
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
import pydicom
import without_abstaining
from playwright.sync_api import Page, sync_playwright

from nanoray.datasets.phantom import draw, write_dicom

MINUTE = 60_000
PEOPLE = ("Aalto^Aino", "Bianchi^Carlo", "Cheng^Mei", "Díaz^Elena", "Eze^Chidi", "Fischer^Jörg")


def phantom(folder: Path, number: int, seed: int, **changes: Any) -> Path:
    """Return a synthetic radiograph of an invented patient."""
    path = folder / f"{number}-{seed}.dcm"
    write_dicom(draw(seed, size=500, opacity=seed % 3 != 0), path)
    header = pydicom.dcmread(path)
    header.SpecificCharacterSet = "ISO_IR 192"
    header.PatientName = PEOPLE[number % len(PEOPLE)]
    header.PatientID, header.AccessionNumber = f"SYN-{1000 + number}", f"A{52000 + number}"
    header.PatientBirthDate, header.PatientAge, header.PatientSex = "19580312", "067Y", "F"
    header.StudyInstanceUID = f"1.2.826.0.1.3680043.8.498.77.{number}"
    header.StudyDate, header.StudyDescription = f"202601{10 + number:02}", "Chest"
    header.ViewPosition, header.InstanceNumber = "PA", "1"
    header.PixelSpacing = header.ImagerPixelSpacing = ["0.65", "0.65"]
    for keyword, value in changes.items():
        setattr(header, keyword, value)
    header.save_as(path)
    return path


def phantoms(folder: Path) -> list[Path]:
    """Synthetic radiographs: studies of one and two views, a child, and a file that is none."""
    paths = [phantom(folder, number, 20 + number) for number in range(6)]
    lateral = {"ViewPosition": "LL", "InstanceNumber": "2"}
    paths += [phantom(folder, 1, 41, **lateral), phantom(folder, 2, 42, **lateral)]
    paths.append(phantom(folder, 6, 45, PatientAge="009Y"))
    broken = folder / "broken.dcm"
    broken.write_bytes(b"This is no radiograph.")
    return [*paths, broken]


def show(page: Page, number: int) -> None:
    """Choose a study of the list, and wait for its pictures."""
    page.locator("#worklist [data-id]").nth(number).click()
    page.wait_for_function(
        "() => document.querySelectorAll('#films canvas').length > 0 && "
        "[...document.querySelectorAll('#films canvas')].every((c) => c.dataset.shown)"
    )
    page.wait_for_timeout(700)


def main() -> None:
    """Start a service, fill it, and look at it."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
    target.mkdir(parents=True, exist_ok=True)
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        command = [sys.executable, "-m", "nanoray", "serve", "--no-auth", "--port", "0"]
        command += ["--model", str(without_abstaining.write(folder / "model.onnx"))]
        command += ["--viewer-link", "https://pacs.example/viewer?study={study_uid}"]
        server = subprocess.Popen(
            [*command, "--data", f"{name}/data"], stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout is not None
            url = next(line for line in server.stdout if "serving on" in line).split()[-1]
            with httpx.Client(base_url=url, timeout=300) as client:
                for path in phantoms(folder):
                    client.post("/v1/predictions", files=[("files", path.read_bytes())])
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox"], timeout=5 * MINUTE
            )
            context = browser.new_context(
                base_url=url,
                viewport={"width": 1500, "height": 1050},
                color_scheme="light",
                locale="en-GB",
            )
            context.set_default_timeout(MINUTE)
            page = context.new_page()
            page.on("console", lambda message: print(message.text, file=sys.stderr))
            page.on("pageerror", lambda error: print(error, file=sys.stderr))
            page.goto("/")
            page.locator("#worklist [data-id]").nth(7).wait_for()
            pictures(page, target)
        finally:
            server.terminate()
            server.wait()


def pictures(page: Page, target: Path) -> None:
    """Take the pictures, one after another."""

    def shoot(name: str, **options: Any) -> None:
        page.wait_for_timeout(500)
        page.screenshot(path=target / f"worklist-{name}.png", **options)

    two = page.locator("#worklist [data-id]").filter(has_text="PA, LL").first
    number = int(
        two.evaluate("e => [...document.querySelectorAll('#worklist [data-id]')].indexOf(e)")
    )
    show(page, number)
    page.keyboard.press("h")
    page.keyboard.press("y")
    shoot("light")
    page.emulate_media(color_scheme="dark")
    show(page, 0)
    page.keyboard.press("2")
    page.keyboard.press("h")
    shoot("dark")
    page.emulate_media(media="print", color_scheme="light")
    page.pdf(path=target / "worklist-print.pdf", prefer_css_page_size=True)
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": 820, "height": 1100})
    shoot("tablet")
    page.set_viewport_size({"width": 400, "height": 860})
    shoot("phone")
    page.get_by_role("button", name="Back to the worklist").click()
    shoot("phone-list")
    page.set_viewport_size({"width": 1500, "height": 1050})
    page.keyboard.press("?")
    shoot("keys")
    page.keyboard.press("Escape")
    for language in ("de", "ar"):
        page.locator("#language").select_option(language)
        page.locator("body[data-ready]").wait_for()
        page.locator("#worklist [data-id]").nth(7).wait_for()
        show(page, number)
        shoot(language)


if __name__ == "__main__":
    main()
