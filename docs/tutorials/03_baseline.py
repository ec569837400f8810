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
# # 3. The baseline
#
# This lesson trains the small network without a teacher. It is needed to measure the gain from distillation.
#
# **For the real challenge**: `nanoray train baseline data/rsna --epochs 12`, with `--seeds 3` for the spread.

# %%
from pathlib import Path

from nanoray.datasets.labelled import open_labelled
from nanoray.training.networks import build
from nanoray.training.recipe import Sources, train
from nanoray.training.settings import Settings

FOLDER = Path("runs/tutorial")
START = Path("models/nanoray-student-fp32.onnx")

# %% [markdown]
# The network is MobileNetV3-Small without squeeze-and-excite and hard-swish, which INT8 hardly rounds.

# %%
network = build("mobilenet_v3_small_minimal", pretrained=False)
print(f"{sum(p.numel() for p in network.parameters()) / 1e6:.2f} million parameters")

# %%
settings = Settings(
    role="baseline",
    architecture="mobilenet_v3_small_minimal",
    size=64,
    epochs=1,
    batch_size=16,
    learning_rate=1e-3,
    average_decay=0.9,
)
data = open_labelled(FOLDER / "data")
sources = Sources(start=START, cache=FOLDER / "cache")
score = train(settings, data, FOLDER / "baseline", sources, show_progress=False)
print(f"validation AUROC {score:.3f}")
