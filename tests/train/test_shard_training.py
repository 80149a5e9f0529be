"""Training on photos in tar shards: it goes on exactly, and two processes train what one does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
if not torch.distributed.is_available():
    pytest.skip("this torch was built without torch.distributed", allow_module_level=True)

from data.packed import cls, pack  # noqa: E402
from train.tiny import CPU, PHOTO, SUPERCLASSES, equal_states, interrupted_after, photos, sandwich, tiny_recipe  # noqa: E402

from eas_train.data.class_lists import ClassList, ListedClass  # noqa: E402
from eas_train.data.feed import Asked, feed  # noqa: E402
from eas_train.data.order import order_of  # noqa: E402
from eas_train.data.photoset import PhotoSet  # noqa: E402
from eas_train.data.shard_index import index_shards  # noqa: E402
from eas_train.data.shard_splits import labelled  # noqa: E402
from eas_train.data.shards import PhotoShards  # noqa: E402
from eas_train.distributed import Share  # noqa: E402
from eas_train.supernet.train import train_supernet  # noqa: E402

STEPS = 10
CLASSES = ClassList("six", "made up", tuple(ListedClass(c, c, s.name) for s in SUPERCLASSES for c in s.class_names))
RECIPE = tiny_recipe(
    dropout=0.0,  # its masks differ between the processes
    batch_size=8,
    augmentation=PHOTO,
    phases=(sandwich(steps=STEPS, sort_channels=True, learning_rate=0.02),),
)
PROGRAM = """
import sys
from pathlib import Path

from eas_train.distributed import joined
from train.test_shard_training import CPU, RECIPE, load, train_supernet

with joined(CPU) as device:
    train_supernet(RECIPE, load(Path(sys.argv[1])), Path(sys.argv[2]), device)
"""


def load(folder: Path) -> PhotoSet:
    return labelled(index_shards(sorted(folder.glob("*.tar")), folder / "index.npz"), CLASSES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine shards of four photos."""
    root = tmp_path_factory.mktemp("shards")
    files = photos(root / "photos", 6)
    pack(root / "shards", files.take(np.random.default_rng(0).permutation(len(files))), 4, cls)
    return root / "shards"


def test_two_processes_train_what_one_does(folder: Path, tmp_path: Path) -> None:
    program, root = tmp_path / "program.py", Path(__file__).parents[2]
    program.write_text(PROGRAM)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), str(root / "tests")]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(program)]
    done = subprocess.run(
        [*command, str(folder), str(tmp_path / "two")], env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr[-3000:]
    net = train_supernet(RECIPE, load(folder), tmp_path / "one", CPU)
    state = torch.load(tmp_path / "two" / "supernet.pt", weights_only=True)
    assert state["step"] == STEPS
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(state["net"][name], tensor, rtol=2e-3, atol=2e-4)


def test_an_interrupted_training_goes_on_exactly(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train_supernet(RECIPE, load(folder), tmp_path / "whole", CPU)
    with monkeypatch.context() as patched:
        patched.setattr("eas_train.supernet.train.progress", interrupted_after(6))  # within the second epoch
        with pytest.raises(KeyboardInterrupt):
            train_supernet(RECIPE, load(folder), tmp_path / "parts", CPU)
    assert torch.load(tmp_path / "parts" / "supernet.pt", weights_only=True)["step"] == 6
    assert equal_states(train_supernet(RECIPE, load(folder), tmp_path / "parts", CPU), whole)


def test_a_process_needs_no_shards_but_its_own_within_an_epoch(tmp_path: Path) -> None:
    files = photos(tmp_path / "photos", 8)
    paths = pack(tmp_path, files, 3, cls)
    assert len(paths) == 16
    data = load(tmp_path)
    assert isinstance(data.store, PhotoShards)
    order = order_of(data, 5)
    wanted = [Asked(order.batch(step, 16), step, 20) for step in range(3)]  # an epoch: 8 streams of 6
    own = {int(which) for asked in wanted for which in data.store.shard[asked.index[8:]]}
    assert len(own) == 8
    for i, path in enumerate(paths):
        if i not in own:
            path.unlink()
    assert len(list(feed(data, wanted, PHOTO, CPU, Share(1, 2), workers=1))) == 3
