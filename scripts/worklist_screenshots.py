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
from playwright.sync_api import sync_playwright

from nanoray.datasets.phantom import draw, write_dicom

MINUTE = 120_000


def phantoms(folder: Path) -> list[Path]:
    """Synthetic radiographs, one of a child, and a file that is none."""
    paths = []
    for seed in range(20, 28):
        path = folder / f"phantom-{seed}.dcm"
        write_dicom(draw(seed, size=640, opacity=seed % 3 != 0), path)
        paths.append(path)
    child = pydicom.dcmread(paths[0])
    child.PatientAge = "009Y"
    child.save_as(paths[0])
    broken = folder / "broken.dcm"
    broken.write_bytes(paths[1].read_bytes()[:5000])
    return [*paths, broken]


def main() -> None:
    """Start a service, fill it, and look at it."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
    target.mkdir(parents=True, exist_ok=True)
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        command = [sys.executable, "-m", "nanoray", "serve", "--no-auth", "--port", "0"]
        command += ["--model", str(without_abstaining.write(folder / "model.onnx"))]
        server = subprocess.Popen(
            [*command, "--data", f"{name}/data"], stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout is not None
            url = next(line for line in server.stdout if "serving on" in line).split()[-1]
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox"], timeout=5 * MINUTE
            )
            context = browser.new_context(
                base_url=url,
                viewport={"width": 1440, "height": 1080},
                color_scheme="light",
                locale="en-GB",
            )
            context.set_default_timeout(5 * MINUTE)
            page = context.new_page()
            page.goto("/")
            page.get_by_label("Choose radiographs").set_input_files(phantoms(folder))
            page.get_by_text("9 of 9 screened").wait_for()
            choose(page, 0)
            page.screenshot(path=target / "worklist-light.png")
            page.emulate_media(color_scheme="dark")
            choose(page, 1)
            page.get_by_label("Level").fill("430")
            page.get_by_label("Window").fill("700")
            page.get_by_label("Zoom").fill("150")
            page.wait_for_timeout(500)
            page.screenshot(path=target / "worklist-dark.png")
            page.set_viewport_size({"width": 420, "height": 900})
            page.get_by_role("region", name="Radiograph").scroll_into_view_if_needed()
            page.wait_for_timeout(500)
            page.screenshot(path=target / "worklist-narrow.png")
            print(httpx.get(f"{url}/v1/model", timeout=60).json()["card"]["name"])
        finally:
            server.terminate()
            server.wait()


def choose(page: Any, number: int) -> None:
    """Choose a radiograph of the list, and wait for its picture."""
    row = page.locator("#worklist [data-id]").nth(number)
    row.click()
    # Twice, for news of a result may have it loaded again.
    for _ in range(2):
        page.wait_for_function(
            "id => document.getElementById('canvas').dataset.shown === id",
            arg=row.get_attribute("data-id"),
        )
        page.wait_for_timeout(1000)


if __name__ == "__main__":
    main()
