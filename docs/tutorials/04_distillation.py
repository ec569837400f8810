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
# # 4. Distillation
#
# This lesson trains the same small network on the teacher's softened logits and on the labels.
#
# Hinton et al. 2015: with the logits $z_t$ of the teacher, $z_s$ of the student, and the temperature $T$, the loss is
# $w \,\mathrm{CE}(y, z_s) + (1 - w)\, T^2\, \mathrm{KL}(\sigma(z_t / T) \,\|\, \sigma(z_s / T))$.
#
# **For the real challenge**: `nanoray distill data/rsna --teacher runs/teacher --epochs 12`. `--method` takes other
# ways; [the ablation](../results/ablation.md) compares them.

# %%
from pathlib import Path

import torch

from nanoray.datasets.labelled import open_labelled
from nanoray.training.recipe import Sources, train
from nanoray.training.settings import Settings

FOLDER = Path("runs/tutorial")
START = Path("models/nanoray-student-fp32.onnx")

# %% [markdown]
# A high temperature reveals similarities that the teacher has learned, not only its
# decisions.

# %%
logits = torch.tensor([-4.0, -1.0, 0.5, 3.0])
for temperature in (1.0, 4.0):
    print(temperature, torch.sigmoid(logits / temperature).numpy().round(2))

# %%
settings = Settings(
    role="student",
    architecture="mobilenet_v3_small_minimal",
    size=64,
    epochs=1,
    batch_size=16,
    learning_rate=1e-3,
    average_decay=0.9,
    distillation_temperature=4.0,
    hard_label_weight=0.3,
)
data = open_labelled(FOLDER / "data")
sources = Sources(start=START, teachers=[FOLDER / "teacher"], cache=FOLDER / "cache")
score = train(settings, data, FOLDER / "student", sources, show_progress=False)
print(f"validation AUROC {score:.3f}")

# %% [markdown]
# A teacher that has trained on the student's test part is refused: its knowledge would leak into the measurement.
