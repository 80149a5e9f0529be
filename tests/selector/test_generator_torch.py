"""The runtime's generator computes what the trained module computes."""

from __future__ import annotations

import numpy as np
import pytest
from bundles import SIZES, SPACE

torch = pytest.importorskip("torch")

from eas_sdk.selector.generator import load  # noqa: E402
from eas_sdk.space.elastic.backbones import MOBILENET_V3_LARGE, PAPER, SMALL  # noqa: E402
from eas_sdk.space.elastic.space import ElasticSpace  # noqa: E402
from eas_sdk.space.tables import madds_range  # noqa: E402
from eas_train.generator.model import ArchitectureGenerator  # noqa: E402


@pytest.mark.parametrize(
    "space", [SPACE, SMALL, PAPER, SIZES, MOBILENET_V3_LARGE], ids=["test", "small", "paper", "sizes", "large"]
)
def test_probabilities_equal_those_of_the_torch_module(space: ElasticSpace) -> None:
    torch.manual_seed(1)
    low, high = madds_range(space, 6)
    made = ArchitectureGenerator(space, 4, torch.linspace(low, high, 10, dtype=torch.float64), 8, 16)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(4)  # away from the initial state, in which all probabilities are near one half
    tensors = {name: tensor.numpy() for name, tensor in made.export(4).items()}
    tensors["predictor"] = np.zeros((4, space.layout.gates), np.float32)
    selector = load(space, 4, {"budgets": made.budgets.tolist(), "samples": 1}, tensors)
    knots = made.budgets.numpy()
    madds = np.concatenate([knots, np.linspace(low // 2, 2 * high, 30)]).astype(np.int64)
    superclasses = np.arange(len(madds)) % 4
    with torch.no_grad():
        expected = torch.sigmoid(made(torch.from_numpy(superclasses), torch.from_numpy(madds))).numpy()
    probabilities = selector.probabilities(np.eye(4)[superclasses], madds)
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-5)
    assert np.ptp(probabilities, axis=0).max() > 0.1
