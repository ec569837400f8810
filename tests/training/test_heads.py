"""The head of a network, its further outputs, and shares of data sets in a batch."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import numpy as np
import onnxruntime
import pytest
import torch

from nanoray.datasets.phantom import draw
from nanoray.detecting.model_file import POSES
from nanoray.errors import DataSetError
from nanoray.exporting.heads import fit_heads, posed_squares
from nanoray.exporting.novelty import fit_novelty, pooled_features
from nanoray.exporting.onnx_graph import export
from nanoray.reading.equalize import equalize_batch
from nanoray.reading.resize import letterbox
from nanoray.training.networks import Head, build, load_weights, save_weights
from nanoray.training.samples import ShareSampler

HEAD = Head(equalize=True, fine_map=True, pooling="lse", pooling_sharpness=0.5)


@pytest.fixture(scope="module")
def squares() -> np.ndarray:
    drawn = [letterbox(draw(seed, size=96).pixels, 64)[0] for seed in range(24)]
    return np.rint(np.stack(drawn) * 255).astype(np.uint8)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "resnet18"])
def test_weights_that_cannot_be_fetched_are_refused_with_the_remedy(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(DataSetError, match=r"\(in a recipe: weights\), or --random-weights"):
        build(name)


def test_log_mean_exp_pools_a_finer_map() -> None:
    network = build("mobilenet_v3_small_minimal", pretrained=False, options=HEAD).eval()
    outputs = network(torch.rand(2, 1, 64, 64))
    assert outputs.cam.shape == (2, 1, 4, 4)
    bias = network.classifier.bias
    assert bias is not None
    local = (outputs.cam + bias).flatten(1) * HEAD.pooling_sharpness
    expected = (local.exp().mean(1)).log() / HEAD.pooling_sharpness
    assert torch.allclose(outputs.logit[:, 0], expected, atol=1e-5)


def test_transformer_with_patches_of_14_pixels() -> None:
    network = build("vit_tiny_patch16_224", pretrained=False).eval()
    assert network(torch.rand(1, 1, 64, 64)).cam.shape == (1, 1, 4, 4)
    # DINOv2's own patches.
    network = build("vit_small_patch14_dinov2", pretrained=False).eval()
    assert network(torch.rand(1, 1, 56, 56)).cam.shape == (1, 1, 4, 4)


def test_sharpness_lies_between_mean_and_maximum() -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 1, 64, 64)
    network = build("mobilenet_v3_small_minimal", pretrained=False).eval()
    with torch.no_grad():
        network.classifier.weight.mul_(50)
    mean = network(image).logit.item()
    bias = network.classifier.bias
    assert bias is not None
    most = (network(image).cam.max() + bias).item()
    found = []
    for sharpness in (0.01, 1.0, 100.0):
        network.configure(Head(pooling="lse", pooling_sharpness=sharpness))
        found.append(network(image).logit.item())
    assert mean == pytest.approx(found[0], abs=0.02 * (most - mean) + 1e-3)
    assert mean < found[1] < found[2] <= most + 1e-4
    assert found[2] == pytest.approx(most, abs=math.log(4) / 100 + 1e-3)


def test_head_is_kept_with_the_weights(tmp_path: Path) -> None:
    network = build("mobilenet_v3_small_minimal", pretrained=False, options=HEAD)
    save_weights(network, tmp_path / "weights.safetensors")
    assert load_weights(tmp_path / "weights.safetensors").options == HEAD


@pytest.mark.slow
def test_export_has_all_outputs_and_equals_the_network(tmp_path: Path, squares: np.ndarray) -> None:
    torch.manual_seed(0)
    network = build("mobilenet_v3_small_minimal", pretrained=False, options=HEAD).eval()
    heads = fit_heads(network, squares, ["AP", "PA", None] * 8)
    assert heads is not None
    novelty = fit_novelty(pooled_features(network, squares), 4)
    path = tmp_path / "model.onnx"
    export(network, novelty, 64, path, heads=heads)
    session = onnxruntime.InferenceSession(str(path))
    names = [value.name for value in session.get_outputs()]
    assert names == ["logit", "cam", "novelty", "embedding", "view", "pose"]
    batch = equalize_batch(squares[:3, None].astype(np.float32) / 255)
    found = dict(zip(names, session.run(names, {"radiograph": batch}), strict=True))
    expected = network(network.prepare(torch.from_numpy(squares[:3])[:, None]))
    assert np.abs(found["logit"] - expected.logit.detach().numpy()).max() < 1e-4
    assert np.abs(found["cam"] - expected.cam.detach().numpy()).max() < 1e-4
    assert found["pose"].shape == (3, len(POSES))


def test_pose_is_learned_on_drawn_radiographs(squares: np.ndarray) -> None:
    torch.manual_seed(0)
    network = build("mobilenet_v3_small_minimal", pretrained=False, options=HEAD).eval()
    heads = fit_heads(network, squares[:18], ["AP", "PA"] * 9)
    assert heads is not None
    right = 0
    for pose in range(len(POSES)):
        shown = torch.from_numpy(posed_squares(squares[18:], pose))[:, None]
        with torch.no_grad():
            _, logits = heads(network.tapped(network.prepare(shown)))
        right += int((logits.argmax(1) == pose).sum())
    assert right >= 0.8 * 6 * len(POSES)


def test_no_heads_where_one_view_is_missing(squares: np.ndarray) -> None:
    network = build("mobilenet_v3_small_minimal", pretrained=False).eval()
    assert fit_heads(network, squares, ["AP"] * len(squares)) is None
    assert fit_heads(network, squares, [None] * len(squares)) is None


def test_every_batch_has_its_shares_and_every_case_its_turn() -> None:
    sampler = ShareSampler([30, 10, 5], [5, 2, 1], seed=3, batch_size=8, steps=6)
    sizes = np.array([30, 40, 45])
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        batches = np.array(list(sampler)).reshape(6, 8)
        for batch in batches:
            of = np.searchsorted(sizes, batch, side="right")
            assert np.bincount(of, minlength=3).tolist() == [5, 2, 1]
        # Thirty cases of five a batch: six batches are exactly one round.
        assert sorted(batches[batches < 30]) == list(range(30))


def test_processes_share_the_same_batches() -> None:
    whole = list(ShareSampler([12, 6], [3, 1], seed=0, batch_size=4, steps=3))
    parts = [
        list(ShareSampler([12, 6], [3, 1], 0, 4, 3, rank=rank, processes=2)) for rank in (0, 1)
    ]
    assert [case for pair in zip(*parts, strict=True) for case in pair] == whole


def test_head_can_be_changed() -> None:
    network = build("mobilenet_v3_small_minimal", pretrained=False)
    network.configure(replace(HEAD, pooling="mean"))
    assert network(torch.rand(1, 1, 64, 64)).cam.shape[-1] == 4
    network.configure(Head())
    assert network(torch.rand(1, 1, 64, 64)).cam.shape[-1] == 2
