"""What training sees: order, padding, the recipe's rate. Without torch."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.core import BenchgateError, DataError
from benchgate.tasks.text2text.codec import Codec
from benchgate.tasks.text2text.rewrites import Rewrites
from benchgate.trainer.data import IGNORED, Order, Pair, collate, encode
from benchgate.trainer.history import Row, write_csv
from benchgate.trainer.recipe import Recipe
from benchgate.trainer.train import Changes, check_device
from tests.trainer.tiny import RECIPE, T5, examples

PAIRS = [Pair((*range(5, 5 + n % 13), 1), (*range(5, 5 + n % 7), 1)) for n in range(1_000)]


@given(st.integers(1, 300), st.integers(1, 50), st.integers(0, 3))
def test_each_epoch_shows_every_example_once(count, batch, epoch):
    order = Order([Pair((n,), (n,)) for n in range(count)], batch, seed=1)
    first = epoch * order.batches_per_epoch
    seen = [pair for step in range(first, first + order.batches_per_epoch) for pair in order.pairs(step)]
    assert Counter(pair.source[0] for pair in seen) == Counter(range(count))
    assert all(len(order.pairs(step)) <= batch for step in range(first, first + order.batches_per_epoch))


def test_a_batch_depends_on_seed_and_step_alone():
    fresh, used = Order(PAIRS, 8, seed=3), Order(PAIRS, 8, seed=3)
    for step in range(300):
        used.pairs(step)
    assert fresh.pairs(290) == used.pairs(290)
    assert fresh.pairs(0) != Order(PAIRS, 8, seed=4).pairs(0)
    assert fresh.pairs(0) != fresh.pairs(fresh.batches_per_epoch)


def test_batches_hold_examples_of_similar_length():
    order = Order(PAIRS, 20, seed=0)
    spread = [np.ptp([len(pair.source) for pair in order.pairs(step)]) for step in range(order.batches_per_epoch)]
    assert np.mean(spread) < 2


def test_collate_shifts_targets_and_ignores_padding():
    batch = collate([Pair((7, 8, 1), (9, 1)), Pair((7, 1), (4, 5, 6, 1))], start=0)
    assert batch.source.tolist() == [[7, 8, 1], [7, 1, 0]]
    assert batch.mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch.target.tolist() == [[0, 9, 1, 0], [0, 4, 5, 6]]
    assert batch.labels.tolist() == [[9, 1, IGNORED, IGNORED], [4, 5, 6, 1]]


def test_no_examples_is_an_error_that_names_the_data():
    with pytest.raises(DataError, match="nothing-there has no examples"):
        encode(Codec(list, str, 1), Rewrites("nothing-there", "", (), 0), 9, 9)


# The recipe


def test_the_rate_warms_up_and_falls_to_nothing():
    recipe = Recipe(steps=100, learning_rate=1.0, warmup_steps=10)
    rates = [recipe.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(0.91)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] == pytest.approx(0.01)
    assert Recipe(steps=2, learning_rate=1.0, warmup_steps=0).rate(0) == 1.0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (Changes(batch=0), "batch 0 must be above 0"),
        (Changes(steps=-1), "steps -1 must be above 0"),
        (Changes(learning_rate=float("nan")), "learning rate nan must be above 0"),
        (Changes(seed=-1), "seed -1 must be at least 0"),
        (Changes(epochs=0.0), "steps 0 must be above 0"),
    ],
)
def test_impossible_values_are_refused_by_name(changes, said):
    with pytest.raises(BenchgateError, match=said):
        changes.applied(RECIPE, 100)


def test_epochs_are_counted_in_batches_of_the_size_that_is_asked_for():
    assert Changes(epochs=2, batch=10).applied(RECIPE, 101).steps == 22
    assert Changes().applied(RECIPE, 101) == RECIPE


def test_a_device_that_is_not_here_is_refused_with_those_that_are():
    with pytest.raises(BenchgateError, match=r"unknown device 'gpu'.* known: cpu, cuda, mps"):
        check_device("gpu")


@pytest.mark.backend("torch")
def test_cuda_without_a_gpu_is_refused():
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(BenchgateError, match=r"cannot train on cuda: no CUDA device .*; --device may be cpu"):
        check_device("cuda")


def test_the_version_follows_recipe_shape_and_data():
    from dataclasses import replace

    from benchgate.trainer.kept import version_of

    data = {split: examples(split).sha256 for split in ("train", "dev")}
    base = version_of(T5.key(RECIPE, data))
    assert version_of(T5.key(RECIPE, dict(data))) == base
    others = [
        T5.key(replace(RECIPE, seed=1), data),
        T5.key(RECIPE, {**data, "dev": "other"}),
        replace(T5, shape={"width": 8}).key(RECIPE, data),
    ]
    assert len({base, *map(version_of, others)}) == 4


def test_the_curve_as_csv_leaves_empty_what_was_not_evaluated(tmp_path):
    path = tmp_path / "new" / "loss.csv"
    write_csv([Row(50, 0.5, 3.25, 1e-3, 4.5), Row(100, 1.0, 2.5, 5e-4, 9.0, 2.75, 0.25)], path)
    assert path.read_text() == (
        "step,epoch,loss,learning_rate,seconds,dev_loss,dev_exact_match\n"
        "50,0.5,3.25,0.001,4.5,,\n"
        "100,1.0,2.5,0.0005,9.0,2.75,0.25\n"
    )
    assert [path] == list(path.parent.iterdir())


@pytest.mark.backend("torch")
def test_a_model_that_is_not_trained_says_what_to_type():
    from benchgate.core import Unavailable

    assert T5.version == "untrained"
    for use in (T5.build, T5.structure, lambda: T5.encode([], "x"), lambda: T5.vocabulary):
        with pytest.raises(Unavailable, match="tiny-t5 is not trained; benchgate train tiny-t5"):
            use()


def test_keys_are_json_ready():
    assert json.loads(json.dumps(T5.key(RECIPE, {}))) == T5.key(RECIPE, {})
