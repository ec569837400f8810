"""Screenshot of the report of `make demo`, for the README.

Needs the extra dev, and a Chromium (Debian: apt-get install chromium).

    make demo && python scripts/report_screenshot.py demo/report.html docs/images/report.png
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright


def main() -> None:
    """Open the report and save the top of its page."""
    report, target = Path(sys.argv[1]).resolve(), sys.argv[2]
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1100, "height": 1480}, color_scheme="light")
        page.goto(report.as_uri())
        page.wait_for_load_state("networkidle")
        page.screenshot(path=target)
        browser.close()


if __name__ == "__main__":
    main()
