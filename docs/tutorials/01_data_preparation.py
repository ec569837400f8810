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
# # 1. Data preparation
#
# This lesson draws radiographs, prepares them as a data set, and divides them by patient.
# Run it in the root of the repository. All files are written to `runs/tutorial`.
#
# NanoRay is for research use only. The radiographs are drawn; the figures are not valid for
# patients.

# %%
import subprocess
import sys
from pathlib import Path

from nanoray.datasets.labelled import open_labelled
from nanoray.datasets.phantom import write_data_set
from nanoray.datasets.splits import PARTS

FOLDER = Path("runs/tutorial")

# %% [markdown]
# ## Draw the downloads
#
# 80 DICOM files of 64 pixels, half of them with an opacity, and a table with labels, patients and boxes.
#
# **For the real challenge** download the RSNA Pneumonia Detection Challenge 2018 from Kaggle instead.

# %%
files = list(write_data_set(FOLDER / "downloaded", count=80, seed=3, size=64))
print((FOLDER / "downloaded/labels.csv").read_text().splitlines()[:3])

# %% [markdown]
# ## Prepare
#
# The command reads each file exactly as a prediction does, and writes 8-bit images with checksums.
# A damaged file would be listed with its reason. The command resumes if it is interrupted.
#
# **For the real challenge**: `nanoray prepare rsna DOWNLOADED --mapping MAPPING.json --output data/rsna`.
# The mapping, from RSNA's page of the challenge, names the patients. Without it training and test
# share patients, and figures are too good.

# %%
table = FOLDER / "downloaded/labels.csv"
command = ["prepare", "csv", str(table), "--output", str(FOLDER / "data"), "--size", "64"]
subprocess.run(
    [sys.executable, "-m", "nanoray", *command, "--validation", "0.2", "--test", "0.2"], check=True
)

# %% [markdown]
# ## Look at the parts
#
# A patient with two images has both in the same part. Otherwise the test part would measure memory.

# %%
data = open_labelled(FOLDER / "data")
patients = {part: {data.cases[index].patient for index in data.split.part(part)} for part in PARTS}
for part in PARTS:
    cases = [data.cases[index] for index in data.split.part(part)]
    positive = sum(case.target == 1 for case in cases)
    print(
        f"{part}: {len(cases)} radiographs of {len(patients[part])} patients, {positive} positive"
    )
assert not patients["train"] & (patients["validation"] | patients["test"])
