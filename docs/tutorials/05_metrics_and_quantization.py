# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     name: python3
#     display_name: Python 3
#     language: python
# ---

# %% [markdown]
# # 5. Metrics and quantization
#
# This lesson exports the student as FP32 and INT8 model files, measures both on the test part, and predicts with the
# INT8 file.
#
# **For the real challenge**: `nanoray quantize runs/student data/rsna --output models`, then
# `nanoray evaluate models/*.onnx --data data/rsna --split runs/student/split.csv --output results`.

# %%
from pathlib import Path

import nanoray
from nanoray.datasets.images import load_squares
from nanoray.datasets.labelled import open_labelled
from nanoray.evaluating.evaluation import evaluate_models
from nanoray.exporting.package import Provenance, write_model_files
from nanoray.reporting.results_table import markdown
from nanoray.training.run_folder import load_run

FOLDER = Path("runs/tutorial")

# %% [markdown]
# Temperature, operating points, the abstain limit and the ranges of INT8 come from training and validation images.
# The test part is used once, below.

# %%
network, settings = load_run(FOLDER / "student")
data = open_labelled(FOLDER / "data", split=FOLDER / "student/split.csv")
squares = load_squares(data.cases, settings.size, FOLDER / "cache", show_progress=False)
provenance = Provenance(
    name="tutorial",
    version=nanoray.__version__,
    training_data=f"{len(data.split.train)} drawn radiographs",
    licence="none: for lessons",
    command="docs/tutorials",
)
models = write_model_files(network, data.cases, squares, data.split, FOLDER / "models", provenance)
for path in models:
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")
assert models[1].stat().st_size < 0.5 * models[0].stat().st_size

# %% [markdown]
# ## Measure
#
# Each figure has a 95 % bootstrap interval over patients. On so few radiographs the intervals are wide: look at them
# before the figures.

# %%
chosen = list(data.split.test)
evaluation = evaluate_models(
    models,
    lambda size: squares[chosen],
    [data.cases[index] for index in chosen],
    data="drawn radiographs",
    part="test",
    draws=200,
    robustness_images=0,
    rounds=5,
    progress=lambda stage, total: lambda: None,
)
print(markdown(evaluation))

# %% [markdown]
# ## Predict
#
# The INT8 file is complete: weights, calibration, thresholds and card.

# %%
detector = nanoray.load(models[1])
result = detector.predict(data.cases[chosen[0]].path)
print(result.decision, f"{result.probability:.3f}", result.flags)
print(nanoray.NOTICE)
