"""The folder of results of `nanoray evaluate`."""

from __future__ import annotations

from pathlib import Path

from nanoray.evaluating.evaluation import Evaluation, Progress
from nanoray.reporting.evaluation_report import write_report
from nanoray.reporting.gallery import write_gallery
from nanoray.reporting.plots import draw_all
from nanoray.reporting.results_table import details, markdown, save_results, save_scores


def write_results(evaluation: Evaluation, folder: Path, progress: Progress) -> list[Path]:
    """Write report, tables, figures as JSON and CSV, pictures and the gallery of cases.

    Returns:
        The files, the report first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    gallery = folder / "gallery.jpg"
    write_gallery(evaluation, evaluation.models[-1], gallery, progress)
    (folder / "results.md").write_text(markdown(evaluation))
    (folder / "details.md").write_text(details(evaluation))
    save_results(evaluation, folder / "results.json")
    save_scores(evaluation, folder / "scores.csv")
    pictures = draw_all(evaluation, folder)
    write_report(evaluation, pictures, gallery, folder / "report.html")
    names = ("report.html", "results.md", "details.md", "results.json", "scores.csv")
    return [*(folder / name for name in names), gallery, *pictures.values()]
