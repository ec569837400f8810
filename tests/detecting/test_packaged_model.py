"""The model file that ships in the package."""

from __future__ import annotations

from importlib.metadata import files
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nanoray.datasets.decoys import KINDS, draw_decoy
from nanoray.datasets.phantom import draw
from nanoray.detecting import load
from nanoray.detecting.model_file import NOTICE, packaged_model
from nanoray.reading import read


def chest_radiograph(encoding: str) -> Path:
    """RG1 of the DICOM standard's compression samples, from the package pydicom-data."""
    name = f"RG1_{encoding}.dcm"
    return next(Path(str(f.locate())) for f in files("pydicom-data") or () if f.name == name)


def test_card_and_size() -> None:
    card = load().card
    assert packaged_model().stat().st_size < 1_500_000
    assert card.precision == "int8"
    assert card.notice == NOTICE
    assert [point.name for point in card.operating_points] == ["screening", "balanced", "confirm"]
    thresholds = [point.threshold for point in card.operating_points]
    assert thresholds == sorted(thresholds)
    for point in card.operating_points:
        for value, interval in (
            (point.sensitivity, point.sensitivity_interval),
            (point.specificity, point.specificity_interval),
        ):
            assert 0 <= interval[0] <= value <= interval[1] <= 1
    assert card.default_operating_point in [point.name for point in card.operating_points]
    assert card.temperature > 0


def test_logit_is_the_pooling_of_the_local_evidence() -> None:
    detector = load()
    card = detector.card
    squares = np.random.default_rng(5).random((1, 1, card.input_size, card.input_size), np.float32)
    outputs = detector.infer(squares)
    local = outputs.cam + card.cam_bias
    expected = local.mean(axis=(1, 2))
    if card.pooling == "lse":
        r = card.pooling_sharpness
        expected = np.log(np.exp(local * r).mean(axis=(1, 2))) / r
    np.testing.assert_allclose(outputs.logit, expected, atol=0.05)


def test_noise_is_no_chest_radiograph() -> None:
    noise = np.random.default_rng(6).random((600, 500), np.float32)
    prediction = load().predict(noise)
    assert prediction.abstained


def test_threads_and_repetition_change_nothing() -> None:
    ramp = np.outer(np.linspace(0, 1, 400), np.linspace(0.2, 1, 300)).astype(np.float32)
    one, many = load(threads=1), load(threads=2)
    first = one.predict(ramp)
    assert one.predict(ramp).logit == first.logit
    assert many.predict(ramp).logit == pytest.approx(first.logit, abs=1e-4)


def test_grey_scale_changes_nothing() -> None:
    # The graph standardises each image, so that brightness and contrast do not matter.
    waves = np.sin(np.linspace(0, 9, 300))[:, None] * np.cos(np.linspace(0, 7, 300))
    film = (0.5 + 0.4 * waves).astype(np.float32)
    first, second = load().predict(film), load().predict(film * 0.5 + 0.2)
    assert second.logit == pytest.approx(first.logit, abs=0.1)


@pytest.mark.slow
def test_encodings_of_a_real_radiograph_agree() -> None:
    detector = load()
    found = {
        name: detector.predict(chest_radiograph(name)) for name in ("UNCR", "J2KR", "UNCI", "J2KI")
    }
    assert not any(prediction.abstained for prediction in found.values())
    assert {prediction.decision for prediction in found.values()} == {found["UNCR"].decision}
    # J2KR is losslessly compressed, and decoded from the wavelet levels that the model needs: the
    # probability moves by at most 0.003. The two called I were both compressed with loss, one of
    # them decoded again.
    assert found["J2KR"].probability == pytest.approx(found["UNCR"].probability, abs=0.003)
    assert found["J2KI"].probability == pytest.approx(found["UNCI"].probability, abs=1e-6)
    whole = {name: read(chest_radiograph(name)).pixels for name in found}
    np.testing.assert_array_equal(whole["J2KR"], whole["UNCR"])
    assert found["UNCI"].probability == pytest.approx(found["UNCR"].probability, abs=0.02)


@pytest.mark.slow
def test_reduced_decoding_does_not_move_the_probability() -> None:
    detector = load()
    whole = np.rint(draw(7, size=2800, opacity=True).pixels * 255).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(whole).save(file, "JPEG", quality=95)
    full = detector.predict(np.asarray(Image.open(file), np.float32) / 255)
    reduced = detector.predict(file.getvalue())
    assert reduced.facts.rows == whole.shape[0]
    assert reduced.probability == pytest.approx(full.probability, abs=0.01)


def test_abstains_on_what_is_no_chest_radiograph() -> None:
    detector = load()
    seeds = range(2000, 2004)
    abstained = [detector.predict(draw_decoy(kind, s)).abstained for kind in KINDS for s in seeds]
    assert np.mean(abstained) >= 0.95
