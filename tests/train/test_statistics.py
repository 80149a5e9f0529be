"""Batch-norm statistics: how they are recorded, and the table that a bundle carries."""

from __future__ import annotations

import random

import pytest

torch = pytest.importorskip("torch")

from train.tiny import TINY, architectures, collected, means, random_images, random_net  # noqa: E402

from eas_sdk.space.architecture import Architecture, Block  # noqa: E402
from eas_train.statistics.table import collect  # noqa: E402
from eas_train.supernet.evaluate import calibrate, logits_of, recalibrated, within_superclass  # noqa: E402
from eas_train.supernet.norm import Recorder  # noqa: E402


def pooled(batch: torch.Tensor) -> torch.Tensor:
    """Mean and biased variance of each channel: [2, C] float64."""
    flat = batch.double().transpose(0, 1).flatten(1)
    return torch.stack([flat.mean(1), flat.var(1, correction=0)])


def record(batches: list[torch.Tensor]) -> torch.Tensor:
    recorder = Recorder()
    for batch in batches:
        recorder("x", batch, torch.ones(batch.shape[1]), torch.zeros(batch.shape[1]))
    return recorder.statistics()["x"].double()


def features(count: int, seed: int) -> torch.Tensor:
    """Maps of 5 channels whose mean and spread differ between channels and images."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 5, 6, 6, generator=generator)
    return x * torch.arange(1.0, 6).view(1, 5, 1, 1) + torch.randn(count, 5, 1, 1, generator=generator)


def test_one_batch_gives_its_exact_pooled_statistics() -> None:
    x = features(12, 0)
    torch.testing.assert_close(record([x]), pooled(x), rtol=1e-5, atol=1e-6)


def test_equal_batches_give_the_mean_of_their_statistics() -> None:
    parts = [features(8, seed) for seed in range(3)]
    found = record(parts)
    torch.testing.assert_close(found, means([pooled(p) for p in parts]), rtol=1e-5, atol=1e-6)
    # The mean is that of all images together; the variance leaves out how much the batches' means differ.
    whole = pooled(torch.cat(parts))
    torch.testing.assert_close(found[0], whole[0], rtol=1e-5, atol=1e-6)
    between = torch.stack([pooled(p)[0] for p in parts]).var(0, correction=0)
    torch.testing.assert_close(found[1] + between, whole[1], rtol=1e-5, atol=1e-6)


def test_unequal_batches_count_by_their_images() -> None:
    large, small = features(9, 0), features(3, 1)
    expected = 0.75 * pooled(large) + 0.25 * pooled(small)
    torch.testing.assert_close(record([large, small]), expected, rtol=1e-5, atol=1e-6)


def test_calibration_splits_its_images_and_reproduces_the_batchs_own_normalisation() -> None:
    net, images = random_net(TINY), random_images(TINY, 10)
    architecture = architectures(TINY, 3)[2]
    with torch.no_grad():
        by_batch = net(images, architecture)
    found = logits_of(net, architecture, images, recalibrated(net, architecture, images), batch_size=3)
    torch.testing.assert_close(found, by_batch, rtol=1e-4, atol=1e-4)
    # The first layer sees the same input however the images are split.
    whole, split = (calibrate(net, architecture, images, batch_size=n)["stem"] for n in (10, 4))
    torch.testing.assert_close(split[0], whole[0])


def test_a_table_averages_the_networks_that_share_a_local_configuration() -> None:
    net = random_net(TINY)
    drawn = architectures(TINY, 5, seed=3)
    queue = iter(drawn[1:])
    table = collect(net, lambda seed: random_images(TINY, 8, seed), lambda _: next(queue), networks=5)
    # The largest comes first, whatever is drawn.
    networks = [TINY.largest, *drawn[1:]]
    made = [calibrate(net, a, random_images(TINY, 8, i)) for i, a in enumerate(networks)]
    torch.testing.assert_close(table.rows["stem"], means([m["stem"] for m in made]))
    for k, kernel in enumerate(TINY.kernels):
        with_kernel = [i for i, a in enumerate(networks) if a.units[0][0].kernel == kernel]
        first = [made[i]["unit0.block0.depthwise"] for i in with_kernel]
        for channel in range(table.rows["unit0.block0.depthwise"].shape[-1]):
            seen = [row[:, channel] for row in first if channel < row.shape[1]]
            if seen:
                found = table.rows["unit0.block0.depthwise"][k, :, channel]
                torch.testing.assert_close(found, means(seen))
        for e, expansion in enumerate(TINY.expansions):
            same = [i for i in with_kernel if networks[i].units[0][0].expansion == expansion]
            if same:
                rows = means([made[i]["unit0.block0.project"] for i in same])
                torch.testing.assert_close(table.rows["unit0.block0.project"][k, e], rows)


def test_a_network_is_normalised_with_the_rows_of_its_own_blocks() -> None:
    net = random_net(TINY)
    table = collected(net)
    architecture = Architecture(((Block(5, 3),), (Block(3, 4), Block(7, 2)), (Block(3, 2),)))
    lookup = table.norm(architecture).lookup
    assert torch.equal(lookup("head"), table.rows["head"])
    assert torch.equal(lookup("unit1.block1.depthwise"), table.rows["unit1.block1.depthwise"][2][:, :48])
    assert torch.equal(lookup("unit1.block1.expand"), table.rows["unit1.block1.expand"][:, :48])
    assert torch.equal(lookup("unit0.block0.project"), table.rows["unit0.block0.project"][1, 1])
    assert torch.equal(lookup("unit1.block0.project"), table.rows["unit1.block0.project"][0, 2])


def test_even_one_network_leaves_no_channel_without_statistics() -> None:
    net = random_net(TINY)
    table = collect(net, lambda seed: random_images(TINY, 8, seed), lambda _: TINY.smallest, networks=1)
    for rows in table.rows.values():
        assert torch.isfinite(rows).all()
        assert (rows[..., 1, :] > 0).all()
    # Rows that no network used are those that were.
    used = table.rows["unit0.block0.project"][2, 2]
    assert (table.rows["unit0.block0.project"] == used).all()


def test_equal_seeds_give_equal_tables() -> None:
    net = random_net(TINY)
    one, other = collected(net, networks=3), collected(net, networks=3)
    assert all(torch.equal(one.rows[name], other.rows[name]) for name in one.rows)


def test_accuracy_within_the_superclass_ignores_all_other_classes() -> None:
    superclass_of = torch.tensor([0, 0, 1, 1])
    logits = torch.tensor([[1.0, 0, 9, 9], [0, 1, 9, 9], [9, 9, 0, 1], [9, 9, 1, 0]])
    targets = torch.tensor([0, 0, 3, 3])
    assert within_superclass(logits, targets, superclass_of).tolist() == [True, False, True, False]


def test_the_smallest_and_the_largest_network_run_on_a_table_of_random_ones() -> None:
    net, images = random_net(TINY), random_images(TINY, 4)
    table = collected(net)
    rng = random.Random(0)
    for architecture in rng.sample(architectures(TINY, 6), 6):
        assert torch.isfinite(logits_of(net, architecture, images, table.norm(architecture))).all()
