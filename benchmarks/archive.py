"""Screen 50,000 generated radiographs: rates, memory, cost, and what a kill costs.

    python benchmarks/archive.py --folder ARCHIVE linear cores killed whole ray sizes report

Each stage adds its figures to ARCHIVE/figures.json, and `report` draws them:

    linear   the first 10, 100, 1000 and 10,000 files, each as a run of its own
    cores    the first 5000 on one core and on two
    killed   all of them; killed (SIGKILL) every --seconds and resumed. With --slices 1 the stage
             ends after the first kill, and goes on when it is called again
    whole    all of them again, not interrupted; its rows must be those of `killed`, bit for bit
    ray      the first 5000 with Ray, on a cluster of its own; the same rows
    sizes    radiographs of 256, 1024 and 2048 pixels: what reading costs
    report   DIR/archive.png (default: ARCHIVE) and a table

A few hundred phantoms are drawn and written over and over, each time with other unique identifiers
and other pixels in a corner, so that every file has a content of its own. Memory is the
proportional set size of all processes together, from /proc: Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from processes import Watch
from pydicom import dcmread

from nanoray.archives.run_folder import RunFolder
from nanoray.datasets import phantom

FOLDER_FILES = 1000
SIDE = 256
SIDES = (256, 1024, 2048)
FIRST = (10, 100, 1000, 10_000)
FEW = 5000


def write_archive(folder: Path, count: int, drawings: int, *, side: int = SIDE) -> None:
    """Write `count` DICOM files, 1000 in a folder, unless they are there."""
    finished = folder / f"{count}.complete"
    if finished.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    templates: list[tuple[bytes, list[bytes]]] = []
    for seed in range(min(drawings, count)):
        path = folder / "drawing.dcm"
        drawn = phantom.draw(seed, size=side, opacity=seed % 4 == 0)
        phantom.write_dicom(drawn, path, bits=8 if side == SIDE else 12)
        dicom = dcmread(path)
        drawn_uids = (dicom.SOPInstanceUID, dicom.StudyInstanceUID)
        templates.append((path.read_bytes(), [str(uid).encode() for uid in drawn_uids]))
        path.unlink()
    for number in range(count):
        template, uids = templates[number % len(templates)]
        for uid in uids:
            template = template.replace(uid, uid[:-8] + b"%08d" % number)
        data = bytearray(template)
        # The last pixels, in a corner at the bottom, say which file it is, in base 16.
        data[-18:-2:2] = bytes(number >> shift & 15 for shift in range(0, 32, 4))
        path = folder / f"{number // FOLDER_FILES:03d}" / f"{number:06d}.dcm"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    finished.touch()


def rows(place: Path, count: int | None = None) -> list[dict[str, Any]]:
    """Return the first `count` rows of a run, or all, in the order of its listing."""
    tables = RunFolder(str(place)).tables()
    return list(islice((row for table in tables for row in table.to_pylist()), count))


class Archive:
    """The stages, over one archive and one file of figures."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.folder: Path = arguments.folder
        self.source = self.folder / "source"
        self.path = self.folder / "figures.json"
        self.figures: dict[str, Any] = {}
        if self.path.exists():
            self.figures = json.loads(self.path.read_text())

    def keep(self, stage: str, value: Any) -> None:
        """Add a stage's figures to the file."""
        self.figures[stage] = value
        self.path.write_text(json.dumps(self.figures, indent=1) + "\n")

    def run(
        self,
        name: str,
        source: Path,
        *options: str,
        cores: int | None = None,
        kill_after: float | None = None,
    ) -> dict[str, Any]:
        """Screen `source` into the run `name`; with `kill_after`, for so many seconds at most."""
        out = self.folder / "runs" / name
        command = [sys.executable, "-m", "nanoray", "screen", str(source), "--out", str(out)]
        if self.arguments.model:
            command += ["--model", str(self.arguments.model)]
        if cores:
            command = ["taskset", "--cpu-list", ",".join(map(str, range(cores))), *command]
        earlier = set(RunFolder(str(out)).finished())
        begun = time.monotonic()
        process = subprocess.Popen([*command, "--quiet", *options])
        watch = Watch(process.pid, every=1.0)
        try:
            code = process.wait(kill_after)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            code = process.wait()
        watch.stop()
        run = RunFolder(str(out))
        sizes = run.sizes() or []
        done = sum(sizes[number] for number in run.finished() if number not in earlier)
        figures = {
            "files": done,
            "seconds": round(time.monotonic() - begun, 2),
            "processor_seconds": round(sum(watch.processor.values()), 2),
            "killed": code == -signal.SIGKILL,
            "samples": watch.samples,
        }
        assert code == 0 or figures["killed"], code
        print(name, {key: value for key, value in figures.items() if key != "samples"}, flush=True)
        return figures

    def fresh(self, name: str) -> str:
        """Return the name of a run, after an earlier one of that name is gone."""
        shutil.rmtree(self.folder / "runs" / name, ignore_errors=True)
        return name

    def manifest(self, count: int) -> Path:
        """Return a manifest of the first `count` files."""
        path = self.folder / f"first-{count}.csv"
        names = (f"source/{n // FOLDER_FILES:03d}/{n:06d}.dcm" for n in range(count))
        path.write_text("\n".join(["location", *names]) + "\n")
        return path

    def rows(self, name: str, count: int | None = None) -> list[dict[str, Any]]:
        """Return the rows of the run `name`."""
        return rows(self.folder / "runs" / name, count)

    # Stages

    def linear(self) -> None:
        found = []
        for count in FIRST:
            if count <= self.arguments.count:
                found.append(self.run(self.fresh(f"linear-{count}"), self.manifest(count)))
        self.keep("linear", found)

    def cores(self) -> None:
        few = self.manifest(min(FEW, self.arguments.count))
        pairs = [
            (cores, self.run(self.fresh(f"cores-{cores}"), few, cores=cores)) for cores in (1, 2)
        ]
        self.keep("cores", {str(cores): figures for cores, figures in pairs})

    def killed(self) -> None:
        slices = self.figures.get("killed", [])
        if not slices or not slices[-1]["killed"]:
            self.fresh("killed")
            slices = []
        for _ in range(self.arguments.slices):
            run = RunFolder(str(self.folder / "runs/killed"))
            before = {number: self._written(run, number) for number in run.finished()}
            slices.append(self.run("killed", self.source, kill_after=self.arguments.seconds))
            if slices[-1]["killed"] and not slices[-1]["files"]:
                raise SystemExit("nothing was finished before the kill: more --seconds")
            # No finished part is written again.
            assert before == {number: self._written(run, number) for number in before}
            self.keep("killed", slices)
            if not slices[-1]["killed"]:
                found = self.rows("killed")
                assert len({row["content"] for row in found}) == len(found) == self.arguments.count
                assert not any(row["error"] for row in found)
                for count in FIRST:
                    if (self.folder / f"runs/linear-{count}").exists():
                        assert self.rows(f"linear-{count}") == found[:count]
                        print(f"the same rows as of the first {count} at one go", flush=True)
                break

    @staticmethod
    def _written(run: RunFolder, number: int) -> int:
        return Path(run.place, run.result_name(number)).stat().st_mtime_ns

    def whole(self) -> None:
        self.keep("whole", self.run(self.fresh("whole"), self.source))
        a, b = (RunFolder(str(self.folder / "runs" / name)) for name in ("killed", "whole"))
        assert a.finished() == b.finished()
        for number in a.finished():
            first, second = (Path(run.place, run.result_name(number)) for run in (a, b))
            assert first.read_bytes() == second.read_bytes(), number
        print(f"killed and not: {len(a.finished())} files of rows, the same bytes", flush=True)

    def ray(self) -> None:
        count = min(FEW, self.arguments.count)
        found = self.run(self.fresh("ray"), self.manifest(count), "--engine", "ray")
        self.keep("ray", found)
        ray = self.rows("ray")
        assert len(ray) == count
        if (self.folder / "runs/whole").exists():
            assert ray == self.rows("whole", count)
            print(f"with Ray and without: the same {count} rows", flush=True)

    def sizes(self) -> None:
        found = {}
        for side in SIDES:
            source = self.folder / f"source-{side}"
            write_archive(source, self.arguments.large, 10, side=side)
            name = f"side-{side}"
            found[str(side)] = self.run(self.fresh(name), source)
            if side > SIDE:
                shutil.rmtree(source)
        self.keep("sizes", found)

    def report(self) -> None:
        report(self.figures, (self.arguments.report or self.folder) / "archive.png")


def report(figures: dict[str, Any], path: Path) -> None:
    """Draw the figures, and print those that docs/guides/archives.md names."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    blue, orange, grey = "#0072b2", "#d55e00", "#c4c9cf"
    figure, ((memory, linear), (cores, sizes)) = plt.subplots(
        2, 2, figsize=(9.2, 6.4), layout="constrained"
    )
    whole, samples = figures["whole"], np.array(figures["whole"]["samples"])
    for column, colour, label in ((1, blue, "all"), (2, orange, "the first")):
        memory.plot(samples[:, 0], samples[:, column], color=colour, label=label)
    memory.set(title=f"Memory over {whole['files']:,} radiographs", ylabel="MiB (PSS)")
    memory.set(xlabel="seconds", ylim=(0, None))
    memory.legend(title="processes", frameon=False)

    runs = [*figures["linear"], whole]
    counts, seconds = ([run[name] for run in runs] for name in ("files", "seconds"))
    linear.loglog(counts, seconds, "o", color=blue)
    rate = (seconds[-1] - seconds[0]) / (counts[-1] - counts[0])
    grid = np.geomspace(counts[0], counts[-1])
    linear.plot(grid, seconds[0] + rate * (grid - counts[0]), color=grey, zorder=0)
    linear.set(title="Time, and a straight line", xlabel="radiographs", ylabel="seconds")

    for number, run in figures["cores"].items():
        height = run["files"] / run["seconds"]
        cores.bar(number, height, width=0.5, color=blue)
        cores.text(int(number) - 1, height, f"{height:.0f}", ha="center", va="bottom")
    cores.set(title="Throughput", xlabel="cores", ylabel="radiographs a second")

    for number, (side, run) in enumerate(figures.get("sizes", {}).items()):
        height = processor(run)
        sizes.bar(side, height, width=0.5, color=blue)
        sizes.text(number, height, f"{height:.1f}", ha="center", va="bottom")
    sizes.set_visible("sizes" in figures)
    sizes.set(title="Cost a radiograph", xlabel="pixels a side", ylabel="processor milliseconds")
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)

    steady = samples[len(samples) // 10 : -len(samples) // 10]
    slope = np.polyfit(steady[:, 0] * whole["files"] / whole["seconds"], steady[:, 1], 1)[0]
    print(f"whole: {whole['files']} files, {whole['files'] / whole['seconds']:.1f} a second")
    print(
        f"  {processor(whole):.2f} processor ms a file; {slope * 10_000:+.2f} MiB each 10,000 files"
    )
    print(
        f"  at most {samples[:, 1].max():.0f} MiB in all, {samples[:, 2].max():.0f} of it the first"
    )
    print(f"killed {sum(part['killed'] for part in figures['killed'])} times")
    for name, run in [("ray", figures["ray"]), *figures["cores"].items()]:
        print(f"{name}: {run['files'] / run['seconds']:.1f} a second, {processor(run):.2f} ms each")
    for run in runs:
        print(f"{run['files']} files: {run['seconds']:.1f} s")


def processor(run: dict[str, Any]) -> float:
    """Milliseconds of processor time a radiograph, starting included."""
    return 1000.0 * float(run["processor_seconds"]) / int(run["files"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    stages = ["linear", "cores", "killed", "whole", "ray", "sizes", "report"]
    parser.add_argument("stages", nargs="+", choices=stages)
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--drawings", type=int, default=300)
    parser.add_argument("--folder", type=Path, default=Path("runs/archive"))
    parser.add_argument("--model", type=Path, help="default: the packaged model")
    parser.add_argument("--seconds", type=float, default=120.0, help="between kills")
    parser.add_argument("--slices", type=int, default=1000, help="most kills in this call")
    parser.add_argument("--large", type=int, default=200, help="radiographs of each size")
    parser.add_argument("--report", type=Path, help="folder for the picture")
    arguments = parser.parse_args()
    archive = Archive(arguments)
    begun = time.monotonic()
    write_archive(archive.source, arguments.count, arguments.drawings)
    print(f"archive: {time.monotonic() - begun:.0f} s", flush=True)
    for stage in arguments.stages:
        getattr(archive, stage)()


if __name__ == "__main__":
    main()
