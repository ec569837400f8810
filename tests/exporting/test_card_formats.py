"""Model cards in the forms of others, against what those forms demand."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from nanoray.commands.app import app
from nanoray.exporting import card_formats
from tiny_model import tiny_card

# The elements of CHAI's Applied Model Card 0.2 in their order; those that may be absent have a "?".
APPLIED_MODEL_CARD = {
    "AppliedModelCard": "BasicInfo ReleaseInfo ModelSummary UsesAndDirections Warnings "
    "TrustIngredients KeyMetrics Resources Bibliography",
    "BasicInfo": "ModelName ModelDeveloper DeveloperContact",
    "ReleaseInfo": "ReleaseStage ReleaseDate ReleaseVersion GlobalAvailability "
    "EHRCompatibility? RegulatoryApproval?",
    "ModelSummary": "Summary Keywords",
    "UsesAndDirections": "IntendedUseAndWorkflow PrimaryIntendedUsers HowToUse "
    "TargetedPatientPopulation CautionedOutOfScopeSettings",
    "Warnings": "KnownRisksAndLimitations KnownBiasesOrEthicalConsiderations ClinicalRiskLevel",
    "TrustIngredients": "AISystemFacts TransparencyInformation",
    "AISystemFacts": "OutcomesAndOutputs ModelType FoundationModels? InputDataSource "
    "OutputAndInputDataTypes DevelopmentDataCharacterization BiasMitigationApproaches "
    "OngoingMaintenance Security? Transparency?",
    "TransparencyInformation": "FundingSource ThirdPartyInformation? StakeholdersConsulted",
    "KeyMetrics": "UsefulnessUsabilityEfficacy FairnessEquity SafetyReliability",
    "UsefulnessUsabilityEfficacy": "MetricGoal Results Interpretation TestType "
    "TestingDataDescription ValidationProcessAndJustification",
    "FairnessEquity": "MetricGoal Results Interpretation TestType TestingDataDescription "
    "ValidationProcessAndJustification",
    "SafetyReliability": "MetricGoal Results Interpretation TestType TestingDataDescription "
    "ValidationProcessAndJustification",
    "MetricResult": "Label ValueJson",
    "Resources": "EvaluationReferences? ClinicalTrial? PeerReviewedPublications "
    "ReimbursementStatus? PatientConsentOrDisclosure",
}
LISTS = {"Results": "MetricResult", "Keywords": "Keyword"}


def local(element: ElementTree.Element) -> str:
    namespace, _, name = element.tag.rpartition("}")
    assert namespace == "{" + card_formats.CHAI
    return name


def check(element: ElementTree.Element) -> None:
    name, children = local(element), [local(child) for child in element]
    if name in LISTS:
        assert children
        assert set(children) == {LISTS[name]}
    elif name in APPLIED_MODEL_CARD:
        expected = APPLIED_MODEL_CARD[name].split()
        wanted = [one for one in expected if not one.endswith("?")]
        assert [child for child in children if child in wanted] == wanted
        order = [one.rstrip("?") for one in expected]
        places = [order.index(child) for child in children]
        assert places == sorted(set(places))
    else:
        assert not children
        assert (element.text or "").strip()
    for child in element:
        check(child)


def test_chai_has_the_elements_of_the_schema_in_their_order() -> None:
    # A card with characters that XML gives a meaning.
    card = tiny_card(target='brightness <above> "average" & more')
    root = ElementTree.fromstring(card_formats.chai(card))
    check(root)
    text = "".join(root.itertext())
    assert card.target in text
    assert "Research use only" in text


def test_huggingface_head_is_yaml_with_a_model_index() -> None:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML")
    text = card_formats.huggingface(tiny_card())
    _, head, body = text.split("---\n", 2)
    values = yaml.safe_load(head)
    (model,) = values["model-index"]
    assert model["results"][0]["metrics"] == [{"type": "roc_auc", "name": "auroc", "value": 0.9}]
    assert values["license"] == "other"
    assert "research-use-only" in values["tags"]
    assert "Research use only" in body


def test_google() -> None:
    card = card_formats.google(tiny_card())
    assert card["schema_version"] == "0.0.2"
    assert card["model_details"]["version"] == {"name": "9.1", "date": "2026-01-02"}
    (metric,) = card["quantitative_analysis"]["performance_metrics"]
    assert metric["confidence_interval"] == {"lower_bound": "0.85", "upper_bound": "0.95"}


@pytest.mark.parametrize(
    ("form", "start"), [("chai", "<?xml"), ("huggingface", "---"), ("google", "{"), ("json", "{")]
)
def test_command(form: str, start: str) -> None:
    found = CliRunner().invoke(app, ["info", "--format", form])
    assert found.exit_code == 0, found.output
    assert found.stdout.startswith(start)
    if start == "{":
        json.loads(found.stdout)
