"""From a file to a probability: NanoRay beside the pipelines that people use, in one run.

    pip install openvino scikit-image
    pip install --no-deps --target .peers torchxrayvision opencv-python-headless requests tqdm
    python benchmarks/end_to_end.py --peers .peers

Parts (`--parts`, all by default):

- per-file: decode, preprocess and infer, one file at a time, in one thread and with all cores.
- sustained: `Detector.predict_many` on one core and on all.
- cold: `nanoray predict FILE` beside importing its dependencies.
- memory: the largest resident memory of `nanoray predict` for each kind of file.
- scaling: time and memory for 10, 100, 1,000 and 10,000 files.

The files are phantoms that NanoRay draws: 1024 x 1024 8-bit JPEG DICOM (as in the RSNA challenge),
DICOM of 2,500 to 3,000 pixels and 12 or 16 bits, uncompressed and JPEG 2000 (as in hospitals), and
PNG. What is compared takes turns in an order that changes with every round; a turn is `--in-a-row`
files of a kind (8, as of a worklist; fewer where that takes more than a second). After each
single file the large networks of the others would have emptied the processor's caches, unlike in
practice (`--in-a-row 1` measures that). Each figure is a median over
rounds; each ratio is the median of the ratios within a round, with the 95 % bootstrap interval
of that median.

Peers have random weights, which serve for timing. Those that are not installed are left out, and
the result states it. A part that is run again replaces its results in the JSON file; tables and
picture are then drawn anew from it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from prepare import write_jpeg_dicom
from processes import Watch
from pydicom.uid import JPEG2000Lossless

import nanoray
from nanoray.datasets.phantom import draw, write_dicom
from nanoray.detecting.detector import Detector, Outputs
from nanoray.detecting.model_file import packaged_model
from nanoray.reading import letterbox, needed_side, read
from nanoray.reading.pool import Pool, processors
from nanoray.reading.worker import Reading, contrast_of

PARTS = ("per-file", "sustained", "cold", "memory", "scaling")
KINDS = {
    "jpeg": "JPEG DICOM, 1024, 8 bits",
    "native12": "uncompressed DICOM, 2500, 12 bits",
    "native16": "uncompressed DICOM, 3000, 16 bits",
    "jpeg2000-12": "JPEG 2000 DICOM, 2500, 12 bits",
    "jpeg2000-16": "JPEG 2000 DICOM, 3000, 16 bits",
    "png": "PNG, 1024, 8 bits",
}
NANORAY = "NanoRay"
ORIGINAL = "original, MobileNetV3-Small"
XRV = "torchxrayvision, DenseNet-121"
STAGES = ("decode", "preprocess", "infer", "decide")
DEPENDENCIES = "import numpy, onnxruntime, pydicom, PIL.Image, typer, rich.console"

Call = Callable[[Path], "dict[str, float]"]


# The files.


def write_samples(folder: Path) -> dict[str, Path]:
    """One file of each kind; those that are there already are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {kind: folder / f"{kind}{'.png' if kind == 'png' else '.dcm'}" for kind in KINDS}
    if all(path.is_file() for path in names.values()):
        return names
    write_jpeg_dicom(1, names["jpeg"])
    small, large, larger = (draw(s, size=n) for s, n in ((2, 1024), (3, 2500), (4, 3000)))
    Image.fromarray(np.rint(small.pixels * 255).astype(np.uint8)).save(names["png"])
    write_dicom(large, names["native12"])
    write_dicom(larger, names["native16"], bits=16)
    write_dicom(large, names["jpeg2000-12"], transfer_syntax=JPEG2000Lossless)
    write_dicom(larger, names["jpeg2000-16"], bits=16, transfer_syntax=JPEG2000Lossless)
    return names


# The pipelines: each takes a path, and returns the seconds of each stage.


class Clock:
    """Seconds of successive stages."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = now - self._last
        self._last = now


class TimedDetector(Detector):
    """A detector that keeps the time of its last run of the network."""

    inferred = 0.0

    def infer(self, squares: Any) -> Outputs:
        start = time.perf_counter()
        outputs = super().infer(squares)
        self.inferred = time.perf_counter() - start
        return outputs


class OpenVinoDetector(TimedDetector):
    """The same, with OpenVINO running the same model file."""

    def __init__(self, *, threads: int) -> None:
        import openvino

        super().__init__(threads=threads)
        settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
        compiled = openvino.Core().compile_model(str(self.path), "CPU", settings)
        self._request = compiled.create_infer_request()
        self._names = ("logit", "cam", "novelty")

    def infer(self, squares: Any) -> Outputs:
        start = time.perf_counter()
        found = self._request.infer({"radiograph": squares})
        logit, cam, novelty = (np.array(found[name]) for name in self._names)
        self.inferred = time.perf_counter() - start
        return Outputs(logit.reshape(-1), cam.reshape(len(cam), *cam.shape[-2:]), novelty.ravel())


def nanoray_pipeline(detector: TimedDetector) -> Call:
    """Do what `Detector.predict` does, stage by stage."""
    side = detector.card.input_size

    def run(path: Path) -> dict[str, float]:
        clock = Clock()
        radiograph = read(path, min_side=needed_side(side))
        clock.lap("decode")
        square, place = letterbox(radiograph.grey, side)
        contrast = contrast_of(square)
        clock.lap("preprocess")
        detector.judge([Reading(str(path), square, place, radiograph.facts, contrast)])
        clock.lap("judge")
        judged = clock.seconds.pop("judge")
        return clock.seconds | {"infer": detector.inferred, "decide": judged - detector.inferred}

    return run


def original_pipeline(network: Any, scratch: Path) -> Call:
    """Run the original pipeline: make a small PNG of each file, which torchvision then reads."""
    import cv2
    import pydicom
    import torch
    from torchvision import transforms

    prepare = transforms.Compose(
        [
            transforms.Resize((224, 224)),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    small = str(scratch / "small.png")

    def run(path: Path) -> dict[str, float]:
        clock = Clock()
        if path.suffix == ".png":
            pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        else:
            pixels = pydicom.dcmread(path).pixel_array
        clock.lap("decode")
        if pixels.dtype != np.uint8:
            pixels = (pixels / pixels.max() * 255).astype(np.uint8)
        cv2.imwrite(small, cv2.resize(pixels, (224, 224)))
        with Image.open(small) as image:
            batch = prepare(image.convert("RGB"))[None]
        clock.lap("preprocess")
        with torch.inference_mode():
            torch.softmax(network(batch), 1).numpy()
        clock.lap("infer")
        return clock.seconds

    return run


def xrv_pipeline() -> Call:
    """As torchxrayvision's README has it, and its own reader for DICOM."""
    import skimage.io
    import torch
    import torchvision
    import torchxrayvision as xrv

    transform = torchvision.transforms.Compose(
        [xrv.datasets.XRayCenterCrop(), xrv.datasets.XRayResizer(224)]
    )
    model = xrv.models.DenseNet(num_classes=18).eval()

    def run(path: Path) -> dict[str, float]:
        clock = Clock()
        if path.suffix == ".png":
            image = skimage.io.imread(path)
            clock.lap("decode")
            image = xrv.datasets.normalize(image, 255)
        else:
            image = xrv.utils.read_xray_dcm(str(path))  # normalises
            clock.lap("decode")
        image = image.mean(2) if image.ndim == 3 else image
        batch = torch.from_numpy(transform(image[None]))[None]
        clock.lap("preprocess")
        with torch.inference_mode():
            model(batch).numpy()
        clock.lap("infer")
        return clock.seconds

    return run


def pipelines(threads: int, scratch: Path) -> tuple[dict[str, Call], dict[str, str]]:
    """Return the pipelines by name, and the reasons for those that are left out."""
    import torch

    torch.set_num_threads(threads)
    left_out: dict[str, str] = {}
    found: dict[str, Call] = {NANORAY: nanoray_pipeline(TimedDetector(threads=threads))}

    def add(name: str, make: Callable[[], Call]) -> None:
        try:
            found[name] = make()
        except Exception as error:
            left_out[name] = f"{type(error).__name__}: {error}".splitlines()[0]

    def network(name: str) -> Any:
        import cv2
        import torchvision

        cv2.setNumThreads(threads)
        return torchvision.models.get_model(name, weights=None, num_classes=2).eval()

    def compiled() -> Call:
        made: Any = torch.compile(network("mobilenet_v3_small"))
        with torch.inference_mode():
            made(torch.zeros(1, 3, 224, 224))  # compiles it now
        return original_pipeline(made, scratch)

    add("NanoRay, OpenVINO", lambda: nanoray_pipeline(OpenVinoDetector(threads=threads)))
    add(ORIGINAL, lambda: original_pipeline(network("mobilenet_v3_small"), scratch))
    add("original, MobileNetV3-Small, torch.compile", compiled)
    add("original, ResNet-50", lambda: original_pipeline(network("resnet50"), scratch))
    add(XRV, xrv_pipeline)
    return found, left_out


# Measuring.


def measure_per_file(
    samples: dict[str, Path],
    seconds: float,
    in_a_row: int,
    counts: list[int],
    before: dict[str, Any],
) -> dict[str, Any]:
    """Measure runs with so many threads, in place of those `before` of as many."""
    kept = [
        run
        for run in before.get("runs", [])
        if run["threads"] not in counts or run["kind"] not in samples
    ]
    result: dict[str, Any] = {"left_out": {}, "runs": kept}
    with tempfile.TemporaryDirectory() as scratch:
        for threads in counts:
            calls, left_out = pipelines(threads, Path(scratch))
            result["left_out"] |= left_out
            for kind, path in samples.items():
                turn, rounds = take_turns(calls, path, seconds, in_a_row)
                run = summary(kind, threads, rounds) | {"in_a_row": turn}
                result["runs"].append(run)
                print(f"per-file, {threads} threads, {kind}: {len(rounds)} rounds", flush=True)
    result["runs"].sort(key=lambda run: (run["threads"], list(KINDS).index(run["kind"])))
    return result


def take_turns(
    calls: dict[str, Call], path: Path, seconds: float, in_a_row: int
) -> tuple[int, list[dict[str, dict[str, float]]]]:
    """Files in a turn, and stage times of a file of all pipelines by round.

    At least 5 rounds, and as many as take about so many seconds.
    """
    rng = np.random.default_rng(0)
    names = list(calls)
    for call in calls.values():
        call(path)
    turn = max(1, min(in_a_row, round(1 / sum(calls[NANORAY](path).values()))))

    def mean(call: Call) -> dict[str, float]:
        times = [call(path) for _ in range(turn)]
        return {stage: sum(time[stage] for time in times) / turn for stage in times[0]}

    begun = time.perf_counter()
    rounds: list[dict[str, dict[str, float]]] = []
    while len(rounds) < 5 or (time.perf_counter() - begun < seconds and len(rounds) < 300):
        found = {names[i]: mean(calls[names[i]]) for i in rng.permutation(len(names))}
        rounds.append({name: found[name] for name in names})
    return turn, rounds


def summary(kind: str, threads: int, rounds: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    totals = {name: np.array([sum(r[name].values()) for r in rounds]) for name in rounds[0]}
    ours = totals[NANORAY]
    rows = {
        name: {
            "milliseconds": 1000 * float(np.median(total)),
            "stages": {
                stage: 1000 * float(np.median([r[name].get(stage, 0.0) for r in rounds]))
                for stage in STAGES
            },
            "ratio": interval(total / ours),
        }
        for name, total in totals.items()
    }
    own = [r[NANORAY] for r in rounds]
    reading = np.array([(s["decode"] + s["preprocess"]) / s["infer"] for s in own])
    return {
        "kind": kind,
        "threads": threads,
        "rounds": len(rounds),
        "pipelines": rows,
        "reading_by_model": interval(reading),
    }


def interval(values: Any) -> list[float]:
    """Median, and the 95 % bootstrap interval of it."""
    values = np.asarray(values, float)
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(values, (2000, len(values))), axis=1)
    low, high = np.quantile(medians, [0.025, 0.975])
    return [float(np.median(values)), float(low), float(high)]


def measure_sustained(samples: dict[str, Path], count: int, rounds: int) -> dict[str, Any]:
    """Files a second of `predict_many`, restricted to one core and on all cores, in turn."""
    result: dict[str, Any] = {}
    for kind in ("jpeg", "native12"):
        files = count if kind == "jpeg" else count // 4
        rates: dict[int, list[float]] = {1: [], processors(): []}
        for _ in range(rounds):
            for cores, found in rates.items():
                command = [sys.executable, __file__, "--sustained", str(samples[kind])]
                command += [str(files), str(cores)]
                output = subprocess.run(command, check=True, capture_output=True, text=True)
                found.append(float(output.stdout))
        one, all_cores = (np.array(found) for found in rates.values())
        result[kind] = {
            "cores": processors(),
            "one": float(np.median(one)),
            "all": float(np.median(all_cores)),
            "ratio": interval(all_cores / one),
        }
        print(f"sustained, {kind}: {result[kind]}", flush=True)
    return result


def sustained(path: str, count: int, cores: int) -> None:
    """Print files a second; run in another process."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    detector = nanoray.load()
    with Pool(30.0) as pool:
        for _ in detector.predict_many([path] * 16 * cores, pool=pool):
            pass
        begun = time.perf_counter()
        for _ in detector.predict_many([path] * count, pool=pool):
            pass
        print(count / (time.perf_counter() - begun))


def measure_cold(sample: Path, rounds: int) -> dict[str, Any]:
    commands = {
        "dependencies": [sys.executable, "-c", DEPENDENCIES],
        "predict": [sys.executable, "-m", "nanoray", "predict", str(sample)],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(-1, rounds):
        for name, command in commands.items():
            begun = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            if number >= 0:
                seconds[name].append(time.perf_counter() - begun)
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    ratio = np.array(seconds["predict"]) / np.array(seconds["dependencies"])
    return {"seconds": medians, "ratio": interval(ratio)}


def watched(command: list[str]) -> tuple[float, Watch]:
    """Run a command: its seconds, and its memory."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    watch = Watch(process.pid, every=0.1)
    code = process.wait()
    seconds = time.perf_counter() - begun
    watch.stop()
    if code:
        raise RuntimeError(f"exit code {code}: {command}")
    return seconds, watch


def linked(path: Path, count: int, folder: Path) -> Path:
    """Make a folder with so many links to a file."""
    folder.mkdir(parents=True)
    for number in range(count):
        os.link(path, folder / f"{number:06d}{path.suffix}")
    return folder


def measure_memory(samples: dict[str, Path], folder: Path) -> dict[str, Any]:
    result = {}
    for kind, path in samples.items():
        files = linked(path, 40, folder / f"memory-{kind}")
        output = folder / "memory.csv"
        command = [sys.executable, "-m", "nanoray", "predict", str(files)]
        _, watch = watched([*command, "--format", "csv", "--output", str(output)])
        result[kind] = {"process": watch.resident, "with_readers": watch.together}
        shutil.rmtree(files)
        print(f"memory, {kind}: {result[kind]}", flush=True)
    return result


def measure_scaling(sample: Path, counts: list[int], folder: Path) -> list[dict[str, Any]]:
    result = []
    for count in counts:
        files = linked(sample, count, folder / f"scaling-{count}")
        output = folder / "scaling.csv"
        command = [sys.executable, "-m", "nanoray", "predict", str(files)]
        seconds, watch = watched([*command, "--format", "csv", "--output", str(output)])
        result.append(
            {
                "files": count,
                "seconds": seconds,
                "process": watch.resident,
                "with_readers": watch.together,
            }
        )
        shutil.rmtree(files)
        print(f"scaling: {result[-1]}", flush=True)
    return result


# What comes of it.


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor()
    return f"{name}, {processors()} cores"


def goals(results: dict[str, Any]) -> list[tuple[str, str, str, bool]]:
    """(goal, bound, measured, whether it is met), of what was measured."""
    found = []
    runs = {(r["kind"], r["threads"]): r for r in results.get("per-file", {"runs": []})["runs"]}
    run = runs.get(("jpeg", 1))
    if run is not None:
        for name, bound in ((ORIGINAL, 3.0), (XRV, 20.0)):
            if name in run["pipelines"]:
                ratio = run["pipelines"][name]["ratio"]
                text = f"JPEG DICOM, one thread: {name} by NanoRay"
                found.append((text, f"at least {bound:g}", words(ratio), ratio[0] >= bound))
        ratio = run["reading_by_model"]
        text = "JPEG DICOM, one thread: decoding and preprocessing by the model"
        found.append((text, "at most 1.5", words(ratio), ratio[0] <= 1.5))
    sustained_jpeg = results.get("sustained", {}).get("jpeg")
    if sustained_jpeg is not None:
        ratio = sustained_jpeg["ratio"]
        text = f"`predict_many` on {sustained_jpeg['cores']} cores by one core"
        found.append((text, "at least 1.8", words(ratio), ratio[0] >= 1.8))
    if "memory" in results:
        for name, text in (
            ("process", "resident memory of `nanoray predict`, MiB, the most of all kinds"),
            ("with_readers", "and of its reading processes together (PSS)"),
        ):
            most = max(row[name] for row in results["memory"].values())
            found.append((text, "below 200", f"{most:.0f}", most < 200))
    if "cold" in results:
        ratio = results["cold"]["ratio"]
        text = "cold start of `nanoray predict FILE` by importing its dependencies"
        found.append((text, "below 3", words(ratio), ratio[0] < 3))
    if len(results.get("scaling", [])) > 1:
        first, last = results["scaling"][-2], results["scaling"][-1]
        growth = last["with_readers"] / first["with_readers"]
        text = f"memory for {last['files']:,} files by that for {first['files']:,}"
        found.append((text, "at most 1.1", f"{growth:.2f}", growth <= 1.1))
        per_file = [row["seconds"] / row["files"] for row in (first, last)]
        text = f"time a file for {last['files']:,} files by that for {first['files']:,}"
        found.append(
            (
                text,
                "at most 1.1",
                f"{per_file[1] / per_file[0]:.2f}",
                per_file[1] <= 1.1 * per_file[0],
            )
        )
    return found


def words(ratio: list[float]) -> str:
    return "{:.2f} ({:.2f} to {:.2f})".format(*ratio)


def markdown(results: dict[str, Any]) -> str:
    lines = ["# End to end", "", "`python benchmarks/end_to_end.py`; see its first lines.", ""]
    about = results["about"]
    lines += [f"{about['processor']}; model {about['model']}; {about['versions']}.", ""]
    rows = [
        f"| {text} | {bound} | {measured} | {'yes' if met else 'no'} |"
        for text, bound, measured, met in goals(results)
    ]
    lines += ["| goal | bound | measured | met |", "|---|---|---|---|", *rows, ""]
    for run in results.get("per-file", {"runs": []})["runs"]:
        threads = "one thread" if run["threads"] == 1 else f"{run['threads']} threads"
        turns = f"{run['rounds']} rounds, {run['in_a_row']} files in a row"
        lines += [f"## {KINDS[run['kind']]}, {threads} ({turns})", ""]
        lines += ["| pipeline | decode | preprocess | infer | decide | total, ms | by NanoRay |"]
        lines += ["|---|---|---|---|---|---|---|"]
        for name, row in run["pipelines"].items():
            stages = " | ".join(f"{row['stages'][stage]:.2f}" for stage in STAGES)
            total = f"{row['milliseconds']:.2f}"
            lines += [f"| {name} | {stages} | {total} | {words(row['ratio'])} |"]
        lines += [""]
    for name, why in results.get("per-file", {}).get("left_out", {}).items():
        lines += [f"Left out: {name} ({why}).", ""]
    if "sustained" in results:
        lines += ["## Sustained", "", "| files | one core, files/s | all cores | ratio |"]
        lines += ["|---|---|---|---|"]
        for kind, row in results["sustained"].items():
            ratio = words(row["ratio"])
            lines += [f"| {KINDS[kind]} | {row['one']:.0f} | {row['all']:.0f} | {ratio} |"]
        lines += [""]
    if "memory" in results:
        lines += ["## Memory of `nanoray predict`", ""]
        lines += ["| files | process, MiB | with its readers (PSS) |", "|---|---|---|"]
        for kind, row in results["memory"].items():
            lines += [f"| {KINDS[kind]} | {row['process']:.0f} | {row['with_readers']:.0f} |"]
        lines += [""]
    if "cold" in results:
        seconds = results["cold"]["seconds"]
        lines += ["## Cold start", ""]
        lines += [
            f"`nanoray predict FILE` {seconds['predict']:.2f} s, importing its dependencies "
            f"{seconds['dependencies']:.2f} s: {words(results['cold']['ratio'])}.",
            "",
        ]
    if "scaling" in results:
        lines += ["## Cost against work (JPEG DICOM)", ""]
        lines += ["| files | seconds | ms a file | process, MiB | with its readers (PSS) |"]
        lines += ["|---|---|---|---|---|"]
        for row in results["scaling"]:
            lines += [
                f"| {row['files']:,} | {row['seconds']:.1f} | "
                f"{1000 * row['seconds'] / row['files']:.1f} | {row['process']:.0f} | "
                f"{row['with_readers']:.0f} |"
            ]
        lines += [""]
    return "\n".join(lines)


def draw_picture(results: dict[str, Any], path: Path) -> None:
    """Stacked bars of the stages of each pipeline, a panel for each kind of file, one thread."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    runs = [run for run in results["per-file"]["runs"] if run["threads"] == 1]
    shape = (2, (len(runs) + 1) // 2)
    figure, axes = plt.subplots(*shape, figsize=(15, 7.5), layout="constrained", squeeze=False)
    colours = dict(zip(STAGES, ("#2b6cb0", "#63b3ed", "#dd6b20", "#a0aec0"), strict=True))
    for number, (run, axis) in enumerate(zip(runs, axes.flat, strict=False)):
        names = list(run["pipelines"])[::-1]
        left = np.zeros(len(names))
        for stage in STAGES:
            widths = np.array([run["pipelines"][name]["stages"][stage] for name in names])
            axis.barh(names, widths, left=left, color=colours[stage], label=stage)
            left += widths
        for index, name in enumerate(names):
            row = run["pipelines"][name]
            text = f" {row['milliseconds']:.1f} ms"
            if name != NANORAY:
                text += f" = {row['ratio'][0]:.1f} x"
            axis.text(left[index], index, text, va="center", fontsize=8)
        axis.set_xlim(0, left.max() * 1.35)
        axis.set_title(KINDS[run["kind"]], fontsize=10)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        if number % axes.shape[1]:
            axis.set_yticklabels([])
    for axis in list(axes.flat)[len(runs) :]:
        axis.set_axis_off()
    handles = axes.flat[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(STAGES), frameon=False)
    figure.suptitle("From a file to a probability: milliseconds a file, one thread, batch 1")
    figure.savefig(path, dpi=110)


def versions() -> str:
    import torch

    found = [f"Python {platform.python_version()}", f"PyTorch {torch.__version__.split('+')[0]}"]
    for name in ("onnxruntime", "openvino", "torchxrayvision", "numpy", "PIL"):
        try:
            module = __import__(name)
        except Exception:
            continue
        found.append(f"{name} {str(module.__version__).split('-')[0]}")
    return ", ".join(found)


def main() -> None:
    if sys.argv[1:2] == ["--sustained"]:
        sustained(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--peers", type=Path, help="folder of peers that pip put there (--target)")
    parser.add_argument("--folder", type=Path, help="keeps the files; default: a temporary one")
    parser.add_argument("--seconds", type=float, default=12, help="for each kind and thread count")
    parser.add_argument("--in-a-row", type=int, default=8, help="files in a pipeline's turn")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--threads", type=int, nargs="+", help="default: 1, and all cores")
    parser.add_argument("--count", type=int, default=600, help="files of the sustained part")
    parser.add_argument("--rounds", type=int, default=5, help="of the sustained and cold parts")
    parser.add_argument("--counts", type=int, nargs="+", default=[10, 100, 1000, 10_000])
    parser.add_argument("--output", type=Path, default=Path("docs/results/end-to-end.json"))
    parser.add_argument("--picture", type=Path, default=Path("docs/images/end-to-end.png"))
    options = parser.parse_args()
    if options.peers is not None:
        sys.path.append(str(options.peers.resolve()))
    results: dict[str, Any] = {}
    if options.output.is_file():
        results = json.loads(options.output.read_text())
    folder = options.folder or Path(tempfile.mkdtemp(prefix="nanoray-end-to-end-"))
    try:
        written = write_samples(folder / "samples")
        samples = {kind: written[kind] for kind in options.kinds}
        card = nanoray.read_card()
        results["about"] = {
            "processor": processor(),
            "model": f"{packaged_model().name} {card.version} ({card.architecture})",
            "versions": versions(),
        }
        for part in options.parts:
            if part == "per-file":
                threads = options.threads or sorted({1, processors()})
                before = results.get(part, {})
                results[part] = measure_per_file(
                    samples, options.seconds, options.in_a_row, threads, before
                )
            elif part == "sustained":
                results[part] = measure_sustained(written, options.count, options.rounds)
            elif part == "cold":
                results[part] = measure_cold(written["jpeg"], 2 * options.rounds)
            elif part == "memory":
                results[part] = measure_memory(written, folder)
            else:
                results[part] = measure_scaling(written["jpeg"], options.counts, folder)
    finally:
        if options.folder is None:
            shutil.rmtree(folder)
    options.output.write_text(json.dumps(results, indent=1) + "\n")
    options.output.with_suffix(".md").write_text(markdown(results))
    if "per-file" in results:
        draw_picture(results, options.picture)
    print(markdown(results))


if __name__ == "__main__":
    main()
