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
# # 2. The teacher
#
# This lesson trains the network that the student will learn from, on the data of lesson 1.
# A teacher is large and sees larger squares.
#
# **For the real challenge**: `nanoray train teacher data/rsna --architecture resnet50 --size 320 --epochs 12`.

# %%
from pathlib import Path

from nanoray.datasets.labelled import open_labelled
from nanoray.training.recipe import Sources, train
from nanoray.training.settings import Settings

FOLDER = Path("runs/tutorial")
START = Path("models/nanoray-student-fp32.onnx")

# %% [markdown]
# One epoch of 80 drawings teaches a ResNet-50 nothing. This teacher starts from the repository's FP32 model,
# which was trained on radiographs, at 80 pixels.
#
# Every setting is a field of `Settings`, with its bounds; a value outside them raises an error before the run.

# %%
settings = Settings(
    role="teacher",
    architecture="mobilenet_v3_small_minimal",
    size=80,
    epochs=1,
    batch_size=16,
    learning_rate=1e-3,
    average_decay=0.9,
)
data = open_labelled(FOLDER / "data")
sources = Sources(start=START, cache=FOLDER / "cache")
score = train(settings, data, FOLDER / "teacher", sources, show_progress=False)
print(f"validation AUROC {score:.3f}")

# %% [markdown]
# The run folder has all files to repeat or resume the run: settings, split, versions,
# metrics, weights. A repeated call returns immediately.

# %%
print(sorted(path.name for path in (FOLDER / "teacher").iterdir() if path.is_file()))
assert train(settings, data, FOLDER / "teacher", sources, show_progress=False) == score
