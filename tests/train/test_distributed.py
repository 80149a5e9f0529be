"""Two processes that share every batch train what one process trains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
if not torch.distributed.is_available():
    pytest.skip("this torch was built without torch.distributed", allow_module_level=True)

from train.tiny import CPU, drawings, sandwich, tiny_recipe  # noqa: E402

from eas_sdk.errors import TrainingError  # noqa: E402
from eas_train.data.drawing_augment import DrawingAugmentation, augment, blend_partners  # noqa: E402
from eas_train.distributed import Share, is_first, joined, share  # noqa: E402
from eas_train.supernet.train import train_supernet  # noqa: E402

STEPS = 20
LOGGED = 20
"""Steps between two lines of the log."""
RECIPE = tiny_recipe(
    dropout=0.0,  # its masks differ between the processes
    batch_size=8,
    checkpoint_every_s=1000,
    augmentation=DrawingAugmentation(),
    phases=(sandwich(steps=STEPS, sort_channels=True, learning_rate=0.02),),
)
PROGRAM = """
import sys
from pathlib import Path

from train.test_distributed import CPU, RECIPE, drawings, joined, train_supernet

with joined(CPU) as device:
    train_supernet(RECIPE, drawings(4, 0), Path(sys.argv[1]), device)
"""


@pytest.fixture
def two_processes(tmp_path: Path) -> Path:
    """The folder of a training by two processes that torchrun started."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), str(root / "tests")]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, str(program), str(tmp_path / "two")], env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return tmp_path / "two"


def losses(folder: Path) -> list[float]:
    lines = (folder / "supernet.jsonl").read_text().splitlines()
    return [loss for line in lines for loss in json.loads(line)["losses"]]


def test_two_processes_have_the_losses_and_the_weights_of_one(two_processes: Path, tmp_path: Path) -> None:
    net = train_supernet(RECIPE, drawings(4, 0), tmp_path / "one", CPU)
    state = torch.load(two_processes / "supernet.pt", weights_only=True)
    assert state["step"] == STEPS
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(state["net"][name], tensor, rtol=2e-3, atol=2e-4)
    assert losses(two_processes) == pytest.approx(losses(tmp_path / "one"), abs=2e-3)
    assert len(losses(two_processes)) == 3 * (STEPS // LOGGED)


def test_a_part_of_a_batch_gets_what_it_would_get_in_the_whole() -> None:
    images, partners = torch.rand(6, 4, 16, 16), torch.rand(6, 4, 16, 16)
    settings = DrawingAugmentation()

    def made(part: Share) -> torch.Tensor:
        rng = torch.Generator().manual_seed(3)
        mixed = blend_partners(part.of(images), part.of(partners), 0.5, rng, part)
        return augment(mixed, 12, settings, rng, part)

    whole = made(Share())
    for size in (2, 3):
        parts = torch.cat([made(Share(rank, size)) for rank in range(size)])
        torch.testing.assert_close(parts, whole)


def test_a_process_alone_has_the_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert share() == Share(0, 1)
    assert share().mean(3.0) == 3.0
    with joined(CPU) as device:
        assert device == CPU
    assert is_first()
    monkeypatch.setenv("RANK", "1")
    assert not is_first()


def test_a_batch_that_cannot_be_shared_evenly_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eas_train.supernet.train.share", lambda: Share(0, 3))
    with pytest.raises(TrainingError, match="multiple of the 3 processes"):
        train_supernet(RECIPE, drawings(4, 0), tmp_path, CPU)
