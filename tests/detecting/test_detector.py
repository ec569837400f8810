"""The detector against a model whose outputs are worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nanoray
from nanoray.detecting import Prediction, Unread, load, read_card
from nanoray.detecting.prediction import rank
from nanoray.errors import ModelFileError, UnreadableError
from reading_files import chest, dicom
from tiny_model import tiny_card, write_tiny_model


def sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value))


def half_white() -> np.ndarray:
    pixels = np.zeros((32, 32), np.float32)
    pixels[:16] = 1.0
    return pixels


def test_probability_is_the_calibrated_logit(tiny_model: Path) -> None:
    prediction = load(tiny_model).predict(half_white())
    # Mean 0.5: cam 8 * 0.5 - 4 = 0, logit 0.5, temperature 2.
    assert prediction.logit == pytest.approx(0.5, abs=1e-6)
    assert prediction.probability == pytest.approx(sigmoid(0.25), abs=1e-7)
    assert prediction.novelty == pytest.approx(0.0)
    assert prediction.source == "<array>"
    assert (prediction.model, prediction.model_version) == ("tiny", "9.1")
    assert prediction.error is None
    assert prediction.milliseconds >= prediction.infer_milliseconds > 0


def test_heatmap_is_the_local_probability(tiny_model: Path) -> None:
    heatmap = load(tiny_model).predict(half_white()).heatmap
    assert heatmap.dtype == np.float32
    # Blocks are white (cam 4) above and black (cam -4) below; with the bias 0.5 and T = 2.
    np.testing.assert_allclose(heatmap[:2], sigmoid(4.5 / 2), atol=1e-6)
    np.testing.assert_allclose(heatmap[2:], sigmoid(-3.5 / 2), atol=1e-6)
    assert heatmap.shape == (4, 4)


def test_heatmap_covers_the_radiograph_and_not_the_padding(tiny_model: Path) -> None:
    # 16 x 32 pixels lie in rows 8 to 24 of the square: the two middle rows of blocks.
    pixels = np.full((16, 32), 0.5, np.float32)
    pixels[0, 0] = 1.0
    heatmap = load(tiny_model).predict(pixels).heatmap
    assert heatmap.shape == (2, 4)
    np.testing.assert_allclose(heatmap[1], sigmoid(0.25), atol=1e-6)


@pytest.mark.parametrize(
    ("point", "threshold", "decision"),
    [
        ("screening", 0.3, "opacity suspected"),
        (None, 0.5, "opacity suspected"),
        ("confirm", 0.7, "no opacity suspected"),
    ],
)
def test_decision_at_operating_points(
    tiny_model: Path, point: str | None, threshold: float, decision: str
) -> None:
    prediction = load(tiny_model, operating_point=point).predict(half_white())
    assert prediction.probability == pytest.approx(0.562, abs=1e-3)
    assert (prediction.threshold, prediction.decision) == (threshold, decision)
    assert prediction.operating_point == (point or "balanced")
    assert prediction.suspected is (decision == "opacity suspected")


def test_threshold_itself_is_suspected(tiny_model: Path) -> None:
    probability = load(tiny_model).predict(half_white()).probability
    at = load(tiny_model, threshold=probability).predict(half_white())
    above = load(tiny_model, threshold=math.nextafter(probability, 1.0)).predict(half_white())
    assert at.decision == "opacity suspected"
    assert at.operating_point is None
    assert above.decision == "no opacity suspected"


@pytest.mark.parametrize(("brightest", "decided"), [(0.51, True), (0.5, True), (0.49, False)])
def test_abstains_above_the_novelty_limit(
    tiny_model: Path, brightest: float, decided: bool
) -> None:
    prediction = load(tiny_model).predict(np.full((32, 32), brightest, np.float32))
    assert prediction.abstained is not decided
    assert prediction.reason == (None if decided else "not a frontal chest radiograph")
    assert math.isfinite(prediction.probability)


def test_abstains_where_the_network_gives_no_number(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "nan.onnx", tiny_card(cam_bias=float("nan")))
    prediction = load(path).predict(half_white())
    assert math.isnan(prediction.logit)
    assert prediction.abstained


def test_extreme_logits_do_not_overflow(make_model) -> None:
    model = make_model(temperature=1e-4)
    assert load(model).predict(np.ones((32, 32), np.float32)).probability == 1.0
    dark = np.zeros((32, 32), np.float32)
    dark[0, 0] = 1.0
    assert load(model).predict(dark).probability == 0.0


def test_path_bytes_and_batch_agree(tiny_model: Path, make_picture) -> None:
    path = make_picture("wärd 1/ü.png", 0.6, side=300)
    detector = load(tiny_model)
    one = detector.predict(path)
    assert one.source == str(path)
    assert one == detector.predict(str(path))
    content = detector.predict(path.read_bytes())
    assert (content.source, content.probability) == ("<bytes>", one.probability)
    (batch,) = detector.predict_many([path], workers=1)
    assert batch == one
    np.testing.assert_array_equal(batch.heatmap, one.heatmap)


def test_batch_keeps_order_and_outlives_bad_files(
    tiny_model: Path, make_picture, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(make_picture("whole.png", 0.3).read_bytes()[:50])
    paths = [
        make_picture("a.png", 0.9),
        broken,
        make_picture("b.png", 0.2),
        tmp_path / "absent.dcm",
        make_picture("c.png", 0.5),
    ]
    results = list(load(tiny_model).predict_many(paths, workers=2))
    assert [result.source for result in results] == [str(path) for path in paths]
    assert [isinstance(result, Prediction) for result in results] == [True, False] * 2 + [True]
    unread = [result for result in results if isinstance(result, Unread)]
    assert [result.error.code for result in unread] == ["raster-truncated", "missing"]
    assert all(isinstance(result.error, UnreadableError) for result in unread)


def test_batch_is_lazy_and_ends_its_processes(tiny_model: Path, make_picture) -> None:
    path = make_picture("a.png", 0.5)
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield path

    results = load(tiny_model).predict_many(endless(), workers=1)
    assert not next(results).error
    assert taken < 10
    results.close()


def test_thumbnail_only_when_asked_for(tiny_model: Path, make_picture) -> None:
    path = make_picture("large.png", 0.5, side=700)
    detector = load(tiny_model)
    assert detector.predict(path).thumbnail is None
    thumbnail = detector.predict(path, thumbnail=True).thumbnail
    assert thumbnail is not None
    assert (thumbnail.shape, thumbnail.dtype) == ((512, 512), np.uint8)
    (batch,) = detector.predict_many([path], workers=1, thumbnails=True)
    np.testing.assert_array_equal(batch.thumbnail, thumbnail)


def test_predict_raises_for_an_unreadable_file(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("hello")
    with pytest.raises(UnreadableError, match=r"note\.txt: is not a DICOM"):
        load(tiny_model).predict(path)


def test_flags_come_from_pixels_and_size(tiny_model: Path) -> None:
    flat = np.full((300, 300), 0.8, np.float32)
    assert load(tiny_model).predict(flat).flags == ("low-contrast",)
    assert load(tiny_model).predict(half_white()).flags == ("low-contrast", "tiny-image")


def test_rank_puts_abstentions_and_unread_files_last(tiny_model: Path) -> None:
    detector = load(tiny_model)
    low = detector.predict(half_white() * 0.6)
    high = detector.predict(np.ones((32, 32), np.float32))
    # The highest probability of all, were it not an abstention.
    abstained = detector.predict(np.full((32, 32), 0.4, np.float32))
    unread = Unread("a", UnreadableError("a", "x", "y"))
    assert sorted([unread, abstained, low, high], key=rank) == [high, low, abstained, unread]


def test_wrong_thresholds_are_refused(tiny_model: Path) -> None:
    with pytest.raises(ValueError, match=r"no operating point 'loose'.*screening, balanced"):
        load(tiny_model, operating_point="loose")
    with pytest.raises(ValueError, match="0 to 1"):
        load(tiny_model, threshold=1.5)
    with pytest.raises(ValueError, match="not both"):
        load(tiny_model, threshold=0.5, operating_point="balanced")


def test_top_level_names_are_all_there() -> None:
    for name in nanoray.__all__:
        assert getattr(nanoray, name) is not None
    assert set(nanoray.__all__) <= set(dir(nanoray))
    with pytest.raises(AttributeError, match="nonesuch"):
        _ = nanoray.nonesuch


def test_card_round_trip(tiny_model: Path) -> None:
    assert read_card(tiny_model) == tiny_card()


def test_files_that_are_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such model file"):
        read_card(tmp_path / "absent.onnx")
    for content in (b"", b"not a model", Path(__file__).read_bytes()):
        path = tmp_path / "other.onnx"
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match=r"other\.onnx: not a model"):
            load(path)


def test_model_without_card(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="has no card"):
        read_card(write_tiny_model(tmp_path / "bare.onnx", None))


def test_model_of_a_later_format(make_model) -> None:
    with pytest.raises(ModelFileError, match="upgrade nanoray"):
        load(make_model(format=2))


def test_model_with_a_damaged_card(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("nanoray.detecting.model_file.ModelCard.to_json", lambda card: "[1]")
    path = write_tiny_model(tmp_path / "damaged.onnx", tiny_card())
    with pytest.raises(ModelFileError, match=r"damaged\.onnx: .*damaged"):
        read_card(path)


def test_model_without_the_third_output(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "two.onnx", tiny_card(), outputs=2)
    with pytest.raises(ModelFileError, match="novelty"):
        load(path)


def test_predicts_16_bit_pictures(tiny_model: Path, tmp_path: Path) -> None:
    pixels = np.zeros((64, 64), np.uint16)
    pixels[:32] = 60_000
    path = tmp_path / "deep.png"
    Image.fromarray(pixels).save(path)
    assert load(tiny_model).predict(path).facts.bits_stored == 16


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"BodyPartExamined": "HIP"}, "other body part"),
        ({"ViewPosition": "LL"}, "lateral view"),
        ({"Modality": "MG"}, "not a projection radiograph"),
    ],
)
def test_the_header_can_rule_a_decision_out(
    tiny_model: Path, tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(dicom(chest(), **changes))
    prediction = load(tiny_model).predict(path)
    assert prediction.abstained
    assert prediction.reason == f"the header states: {words}"
    decided = load(tiny_model, ignore_header=True).predict(path)
    assert not decided.abstained
    assert decided.flags == prediction.flags


def test_exact_reading_decodes_all(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "film.jpg"
    Image.fromarray(chest(400, 320, bits=8)).save(path, quality=95)
    reduced, exact = load(tiny_model), load(tiny_model, exact=True)
    assert abs(reduced.predict(path).probability - exact.predict(path).probability) < 0.003
    (one,) = exact.predict_many([path], workers=1)
    assert isinstance(one, Prediction)
    assert one.probability == exact.predict(path).probability
