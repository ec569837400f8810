"""Model folders of other projects: the model file with their cards and configurations."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from nanoray.detecting.model_file import CAM, INPUT, LOGIT, ModelCard
from nanoray.exporting.card_formats import AUTHORS, DATASET, huggingface, readme
from nanoray.exporting.description import decision, preprocessing
from nanoray.version import __version__

SCHEMA: Final = "https://project-monai.github.io/schema/meta_schema_20240725.json"
"""Schema of a MONAI bundle's metadata."""


def write_huggingface(model: Path, card: ModelCard, folder: Path) -> None:
    """Write the folder that `huggingface_hub` uploads: card, model file, preprocessing."""
    folder.mkdir()
    shutil.copyfile(model, folder / "model.onnx")
    (folder / "README.md").write_text(huggingface(card), encoding="utf-8")
    _write_licence(card, folder)
    about = {"preprocessing": preprocessing(card), "decision": decision(card)}
    _write_json(folder / "preprocessing.json", about)


def write_monai(model: Path, card: ModelCard, folder: Path) -> None:
    """Write a MONAI bundle: metadata, an inference workflow, model file, documentation.

    The workflow reads files with NanoRay, so that the preprocessing is the model's own. Source:
    MONAI Bundle Specification (MONAI 1.6).
    """
    for part in ("configs", "models", "docs"):
        (folder / part).mkdir(parents=True)
    shutil.copyfile(model, folder / _MODEL)
    _write_json(folder / "configs" / "metadata.json", monai_metadata(card))
    _write_json(folder / "configs" / "inference.json", _MONAI_INFERENCE)
    run = (
        f"## Run the bundle\n\nIt needs NanoRay {__version__}, and MONAI with its commands:\n\n"
        "```bash\npip install 'monai[fire]'\n"
        "python -m monai.bundle run --config_file configs/inference.json --dataset_dir IMAGES\n"
        "```\n\nThe results, one JSON record for each file, are in `predictions.jsonl`.\n"
    )
    text = f"{readme(card, _MODEL)}\n{run}"
    (folder / "docs" / "README.md").write_text(text, encoding="utf-8")
    _write_licence(card, folder)


_MODEL: Final = "models/model.onnx"
_MONAI_INFERENCE: Final[dict[str, Any]] = {
    "imports": [
        "$import pathlib",
        "$import nanoray",
        "$from nanoray.reading.finding import find",
        "$from nanoray.reporting.outputs import write_jsonl",
    ],
    "bundle_root": ".",
    "device": "cpu",
    "dataset_dir": "$@bundle_root + '/images'",
    "output": "$@bundle_root + '/predictions.jsonl'",
    "dataset": {
        "_target_": "monai.data.Dataset",
        "data": "$find([@dataset_dir]).paths",
    },
    "network_def": f"$nanoray.load(@bundle_root + '/{_MODEL}')",
    "inferer": "$@network_def.predict_many",
    "evaluator": "$@inferer(@dataset)",
    "run": ["$write_jsonl(@evaluator, pathlib.Path(@output).open('w', encoding='utf-8'))"],
}
"""Workflow of a bundle, in MONAI's config syntax."""


def monai_metadata(card: ModelCard) -> dict[str, Any]:
    """Return the metadata of a MONAI bundle."""
    size = card.input_size
    return {
        "schema": SCHEMA,
        "version": card.version,
        "changelog": {card.version: card.command},
        # MONAI's own fields; the model needs no PyTorch.
        "monai_version": "1.4.0",
        "pytorch_version": "2.4.0",
        "numpy_version": version("numpy"),
        "required_packages_version": {
            "nanoray": __version__,
            "onnxruntime": version("onnxruntime"),
        },
        "name": card.name,
        "task": f"Probability of {card.target} on a frontal chest radiograph",
        "description": f"Network {card.architecture}, {card.precision}, ONNX. {card.notice}",
        "authors": AUTHORS,
        "copyright": card.licence,
        "data_source": card.training_data,
        "data_type": "dicom, png, jpeg or tiff",
        "image_classes": "one channel, bright bone, 0 to 1",
        "label_classes": f"1 is {card.target}, 0 is everything else ({DATASET})",
        "pred_classes": "one logit; probability and decision follow from the calibration",
        "eval_metrics": {name: round(value[0], 4) for name, value in sorted(card.metrics.items())},
        "intended_use": card.notice,
        "references": [],
        "network_data_format": {
            "inputs": {
                INPUT: {
                    "type": "image",
                    "format": "magnitude",
                    "modality": "CR, DX",
                    "num_channels": 1,
                    "spatial_shape": [size, size],
                    "dtype": "float32",
                    "value_range": [0, 1],
                    "is_patch_data": False,
                    "channel_def": {"0": "radiograph with bright bone, padded with 0"},
                }
            },
            "outputs": {
                LOGIT: {
                    "type": "probabilities",
                    "format": "classes",
                    "num_channels": 1,
                    "spatial_shape": [1],
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": False,
                    "channel_def": {"0": f"logit of {card.target}"},
                },
                CAM: {
                    "type": "image",
                    "format": "classes",
                    "num_channels": 1,
                    "spatial_shape": ["*", "*"],
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": False,
                    "channel_def": {"0": "local evidence, as logits"},
                },
            },
        },
    }


def _write_licence(card: ModelCard, folder: Path) -> None:
    (folder / "LICENSE").write_text(f"{card.licence}\n\n{card.notice}\n", encoding="utf-8")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
