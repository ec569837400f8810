"""A model card in published formats: CHAI's XML, Hugging Face's YAML head, Google's JSON."""

from __future__ import annotations

import json
from typing import Any, Final
from xml.etree import ElementTree

from nanoray.detecting.model_file import ModelCard

CHAI: Final = "https://mc.chai.org/v0.2/schema.xsd"
"""Namespace of the Applied Model Card of the Coalition for Health AI, version 0.2."""

AUTHORS: Final = "The NanoRay authors"
CONTACT: Final = "the issue tracker of the NanoRay project"
DATASET: Final = "RSNA Pneumonia Detection Challenge 2018"
_NOT_STATED: Final = "Not stated in the model file."
_USE: Final = (
    "Research on the detection of lung opacities on frontal chest radiographs of adults: ranking a "
    "worklist in retrospect, comparing methods, teaching. Not for diagnosis or treatment."
)
_OUT_OF_SCOPE: Final = (
    "Clinical use; children; lateral views, other body parts and other modalities; photographs of "
    "films without the phone's straightening; hospitals where nanoray check was not run on "
    "labelled radiographs."
)
_RISKS: Final = (
    "The labels come from the image alone. Opacities under 5 % of the frame are missed more often. "
    "Bedside (AP) radiographs hold most opacities, so the model leans on the view. Probabilities "
    "hold for the stated prevalence; elsewhere they need a recalibration (nanoray calibrate)."
)

# Name of a figure in the card to its type on the hub.
_HUB_METRICS: Final = {
    "cross-validated AUROC challenge": "roc_auc",
    "cross-validated AUROC": "roc_auc",
    "cross-validated AUPRC": "average_precision",
    "cross-validated F1 balanced": "f1",
    "auroc": "roc_auc",
    "average precision": "average_precision",
    "brier": "brier_score",
}


def chai(card: ModelCard) -> str:
    """Write the card as a CHAI Applied Model Card, XML of version 0.2."""
    root = ElementTree.Element("AppliedModelCard", {"xmlns": CHAI})
    _fill(
        root,
        {
            "BasicInfo": {
                "ModelName": card.name,
                "ModelDeveloper": AUTHORS,
                "DeveloperContact": CONTACT,
            },
            "ReleaseInfo": {
                "ReleaseStage": "Research use only",
                "ReleaseDate": card.date,
                "ReleaseVersion": card.version,
                "GlobalAvailability": f"Research use. Licence: {card.licence}",
                "RegulatoryApproval": f"None. {card.notice}",
            },
            "ModelSummary": {
                "Summary": f"Gives the probability of {card.target} for a frontal chest "
                f"radiograph, a decision at an operating point, and a map of local evidence; "
                f"abstains on images unlike its training radiographs. {card.notice}",
                "Keywords": [("Keyword", "chest radiograph"), ("Keyword", "pneumonia")],
            },
            "UsesAndDirections": {
                "IntendedUseAndWorkflow": _USE,
                "PrimaryIntendedUsers": "Researchers and engineers in medical imaging.",
                "HowToUse": "nanoray predict FILE; nanoray check FOLDER before use at a new place.",
                "TargetedPatientPopulation": "Adults with a frontal (AP or PA) chest radiograph.",
                "CautionedOutOfScopeSettings": _OUT_OF_SCOPE,
            },
            "Warnings": {
                "KnownRisksAndLimitations": _RISKS,
                "KnownBiasesOrEthicalConsiderations": _views_words(card),
                "ClinicalRiskLevel": "Not assessed: no clinical use is intended.",
            },
            "TrustIngredients": {
                "AISystemFacts": {
                    "OutcomesAndOutputs": f"Probability of {card.target}; decision; quality "
                    "flags; map of local evidence; novelty.",
                    "ModelType": f"Convolutional network {card.architecture}, {card.precision}, "
                    f"input {card.input_size} x {card.input_size} pixels, ONNX.",
                    "InputDataSource": "DICOM, PNG, JPEG or TIFF file of a frontal radiograph.",
                    "OutputAndInputDataTypes": "Input: grey image. Output: numbers, a small map.",
                    "DevelopmentDataCharacterization": card.training_data,
                    "BiasMitigationApproaches": "Thresholds of equal sensitivity in AP and PA "
                    "where the card has views; figures by view, sex and age in the evaluation "
                    "report.",
                    "OngoingMaintenance": "Releases state their cross-validated figures; nanoray "
                    "drift compares later radiographs with the validation images.",
                    "Security": "Runs offline; files are read in processes with limits on time "
                    "and memory.",
                    "Transparency": f"Made by: {card.command}",
                },
                "TransparencyInformation": {
                    "FundingSource": _NOT_STATED,
                    "ThirdPartyInformation": f"Training images: {card.licence}",
                    "StakeholdersConsulted": _NOT_STATED,
                },
            },
            "KeyMetrics": {
                "UsefulnessUsabilityEfficacy": _metric(
                    "Rank radiographs with an opacity above those without",
                    [(name, list(v)) for name, v in sorted(card.metrics.items())] or [("none", [])],
                    "Each value has a 95 % bootstrap interval over patients.",
                ),
                "FairnessEquity": _metric(
                    "The same sensitivity in AP and PA at each operating point",
                    [
                        (
                            f"{one.view} {point.name} sensitivity",
                            [point.sensitivity, *point.sensitivity_interval],
                        )
                        for one in card.views
                        for point in one.operating_points
                    ]
                    or [("not measured by view in this file", [])],
                    "Differences between the views are within the intervals where they are given.",
                ),
                "SafetyReliability": _metric(
                    "A bound on missed opacities, and abstention on unknown images",
                    [
                        (
                            f"called clear at the guarantee of {one.level:g}, {view}",
                            list(value),
                        )
                        for one in card.guarantees
                        for view, value in one.missed.items()
                    ]
                    or [("novelty limit", [card.novelty_limit])],
                    "Above the novelty limit the detector abstains.",
                ),
            },
            "Resources": {
                "EvaluationReferences": "The evaluation report of the project.",
                "PeerReviewedPublications": "None.",
                "PatientConsentOrDisclosure": "Public, de-identified images; no new patient data.",
            },
            "Bibliography": f"@misc{{nanoray, title={{NanoRay}}, author={{{AUTHORS}}}}}",
        },
    )
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _fill(parent: ElementTree.Element, values: Any) -> None:
    pairs = values.items() if isinstance(values, dict) else values
    for name, value in pairs:
        child = ElementTree.SubElement(parent, name)
        if isinstance(value, str):
            child.text = value
        else:
            _fill(child, value)


def _metric(goal: str, results: list[tuple[str, list[float]]], reading: str) -> dict[str, Any]:
    return {
        "MetricGoal": goal,
        "Results": [
            (
                "MetricResult",
                {"Label": label, "ValueJson": json.dumps([round(v, 4) for v in value])},
            )
            for label, value in results
        ],
        "Interpretation": reading,
        "TestType": "Retrospective, internal",
        "TestingDataDescription": "See the training data and the evaluation report.",
        "ValidationProcessAndJustification": "Split by patient; images of a patient never lie on "
        "both sides.",
    }


def _views_words(card: ModelCard) -> str:
    if not card.views:
        return (
            "One threshold for all views: sensitivity is lower on PA than on AP radiographs. "
            "Bias by sex and age is reported, not removed."
        )
    parts = [
        f"{one.view}: " + ", ".join(f"{p.name} {p.sensitivity:.2f}" for p in one.operating_points)
        for one in card.views
    ]
    return f"Sensitivity by view: {'; '.join(parts)}. Bias by sex and age is reported, not removed."


def huggingface(card: ModelCard) -> str:
    """Write a README for a Hugging Face model folder: a YAML head with model-index, and text."""
    metrics = [
        {"type": kind, "name": name, "value": round(card.metrics[name][0], 4)}
        for name, kind in _HUB_METRICS.items()
        if name in card.metrics
    ]
    head: dict[str, Any] = {
        "library_name": "nanoray",
        "pipeline_tag": "image-classification",
        "license": "other",
        "license_name": "research-and-non-commercial-use",
        "language": "en",
        "tags": ["medical", "chest-x-ray", "pneumonia", "onnx", "research-use-only"],
        "model-index": [
            {
                "name": card.name,
                "results": [
                    {
                        "task": {"type": "image-classification", "name": card.target},
                        "dataset": {"type": "rsna-pneumonia", "name": DATASET},
                        "metrics": metrics,
                    }
                ],
            }
        ],
    }
    # JSON is YAML, and quotes every string.
    yaml = "\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in head.items())
    return f"---\n{yaml}\n---\n\n{readme(card, 'model.onnx')}"


def readme(card: ModelCard, model: str) -> str:
    """Write the card as Markdown, with an example that loads the model file `model`."""
    rows = "\n".join(
        f"| {name} | {value:.3f} | {low:.3f} to {high:.3f} |"
        for name, (value, low, high) in card.metrics.items()
    )
    return (
        f"# {card.name} {card.version}\n\n**{card.notice}**\n\n"
        f"Gives the probability of {card.target}. Network {card.architecture}, {card.precision}, "
        f"input {card.input_size} x {card.input_size} pixels, ONNX.\n\n"
        "```python\nimport nanoray\n\n"
        f'print(nanoray.load("{model}").predict("radiograph.dcm").probability)\n```\n\n'
        f"## Intended use\n\n{_USE}\n\n## Out of scope\n\n{_OUT_OF_SCOPE}\n\n"
        f"## Limits\n\n{_RISKS} {_views_words(card)}\n\n"
        f"## Training data\n\n{card.training_data}\n\n"
        f"Licence: {card.licence}\n\n## Figures\n\n"
        f"| figure | value | 95 % interval |\n| --- | --- | --- |\n{rows}\n"
    )


def google(card: ModelCard) -> dict[str, Any]:
    """Return the card in the JSON form of Google's Model Card Toolkit, schema 0.0.2."""
    return {
        "schema_version": "0.0.2",
        "model_details": {
            "name": card.name,
            "overview": f"Probability of {card.target} on a frontal chest radiograph. "
            f"{card.notice}",
            "version": {"name": card.version, "date": card.date},
            "owners": [{"name": AUTHORS, "contact": CONTACT}],
            "licenses": [{"custom_text": card.licence}],
        },
        "model_parameters": {
            "model_architecture": f"{card.architecture}, {card.precision}",
            "data": [{"name": "training", "description": card.training_data}],
            "input_format": f"grey image, {card.input_size} x {card.input_size} pixels, 0 to 1",
            "output_format": "probability, decision, map of local evidence, novelty",
        },
        "quantitative_analysis": {
            "performance_metrics": [
                {
                    "type": name,
                    "value": str(round(value, 4)),
                    "confidence_interval": {
                        "lower_bound": str(round(low, 4)),
                        "upper_bound": str(round(high, 4)),
                    },
                }
                for name, (value, low, high) in card.metrics.items()
            ]
            + [
                {
                    "type": f"{point.name} sensitivity",
                    "value": str(round(point.sensitivity, 4)),
                    "slice": f"view {one.view}",
                    "confidence_interval": {
                        "lower_bound": str(round(point.sensitivity_interval[0], 4)),
                        "upper_bound": str(round(point.sensitivity_interval[1], 4)),
                    },
                }
                for one in card.views
                for point in one.operating_points
            ]
        },
        "considerations": {
            "users": [{"description": "Researchers and engineers in medical imaging"}],
            "use_cases": [{"description": _USE}],
            "limitations": [{"description": _RISKS}, {"description": _OUT_OF_SCOPE}],
            "ethical_considerations": [
                {"name": "bias by view, sex and age", "mitigation_strategy": _views_words(card)}
            ],
        },
    }
