"""Both scoring libraries on the same made-up detections, the bootstrap, and the floors' three answers."""

import numpy as np
import pytest

from benchgate.core import DataError
from benchgate.tasks.detection.floors import floor
from benchgate.tasks.detection.scoring import RESAMPLED, STATS, Evaluation, bootstrap_size, evaluate

LIBRARIES = ["pycocotools", "faster_coco_eval"]


def scene(images, seed=0, noise=4.0, false=6):
    """A truth with four boxes an image in five categories, and detections that miss it by `noise` pixels."""
    random = np.random.default_rng(seed)
    truth = {
        "images": [{"id": i} for i in range(1, images + 1)],
        "annotations": [],
        "categories": [{"id": k} for k in range(1, 6)],
    }
    detections = {}
    for image in range(1, images + 1):
        rows = []
        for _ in range(4):
            x, y, w, h = random.uniform(20, 120, 4)
            category = int(random.integers(1, 6))
            number = len(truth["annotations"]) + 1
            truth["annotations"].append(
                {"id": number, "image_id": image, "category_id": category, "bbox": [x, y, w, h], "area": w * h}
            )
            box = np.array([x, y, x + w, y + h]) + random.normal(0, noise, 4) if noise else [x, y, x + w, y + h]
            rows.append([*box, random.uniform(0.3, 1), category])
        for _ in range(false):
            x, y, w, h = random.uniform(20, 120, 4)
            rows.append([x, y, x + w, y + h, random.uniform(0, 0.6), int(random.integers(1, 6))])
        detections[image] = np.array(rows)
    return truth, detections


@pytest.mark.parametrize("library", LIBRARIES)
def test_perfect_detections_score_one(library):
    pytest.importorskip(library)
    truth, detections = scene(5, noise=0, false=0)
    found = evaluate(truth, detections, library=library, resamples=20)
    assert found.stats["ap"] == found.stats["ap50"] == pytest.approx(1)
    assert found.resamples["ap"] == pytest.approx(np.ones(20))
    assert found.interval("ap") == (pytest.approx(1), pytest.approx(1))


@pytest.mark.parametrize("library", LIBRARIES)
def test_swapped_class_ids_collapse(library):
    pytest.importorskip(library)
    truth, detections = scene(20)
    right = evaluate(truth, detections, library=library, resamples=40)
    swapped = {i: np.column_stack((rows[:, :5], rows[:, 5] % 5 + 1)) for i, rows in detections.items()}
    wrong = evaluate(truth, swapped, library=library, resamples=40)
    assert wrong.stats["ap50"] < 0.1 < right.stats["ap50"]
    assert floor(wrong, right, 0.95).answer == "fails"


def test_both_libraries_agree_to_twelve_decimals():
    for library in LIBRARIES:
        pytest.importorskip(library)
    truth, detections = scene(40)
    one, other = (evaluate(truth, detections, library=library, resamples=10) for library in LIBRARIES)
    for name in STATS:
        assert one.stats[name] == pytest.approx(other.stats[name], abs=1e-12), name
    for name in RESAMPLED:
        assert one.resamples[name] == pytest.approx(other.resamples[name], abs=1e-12), name


@pytest.mark.parametrize("library", LIBRARIES)
def test_undrawn_resample_is_the_score_itself(library):
    """Every image once, in another order, gives what the library itself says: our rearranging loses nothing."""
    pytest.importorskip(library)
    from benchgate.tasks.detection import scoring

    truth, detections = scene(7)
    evaluator, results = scoring._evaluator(truth, detections, library)
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    stored, areas = getattr(evaluator, results), len(evaluator.params.areaRng)
    order = [3, 0, 6, 1, 5, 2, 4]
    rearranged = [stored[start + i] for start in range(0, len(stored), areas * 7) for i in order]
    ap, ap50, ap75, ar = scoring._accumulated(evaluator, results, rearranged)
    expected = [evaluator.stats[STATS[name]] for name in RESAMPLED]
    assert [ap, ap50, ap75, ar] == pytest.approx(expected, abs=1e-12)


def test_bootstrap_is_the_same_every_time_and_brackets_the_value():
    truth, detections = scene(30)
    one, other = (evaluate(truth, detections) for _ in range(2))
    assert one.resamples["ap"].tolist() == other.resamples["ap"].tolist()
    low, high = one.interval("ap")
    assert 0 < low < one.stats["ap"] < high < 1
    assert len(one.resamples["ap"]) == 200


def test_views_of_one_photograph_widen_the_interval():
    truth, detections = scene(30)
    alone = evaluate(truth, detections)
    grouped = evaluate(truth, detections, groups={i: str(i % 3) for i in detections})
    assert (grouped.images, grouped.groups) == (30, 3)
    spread = [high - low for low, high in (alone.interval("ap"), grouped.interval("ap"))]
    assert grouped.stats == alone.stats
    assert spread[0] != spread[1]


def test_no_detection_at_all_scores_zero():
    truth, detections = scene(4)
    nothing = {image: np.zeros((0, 6)) for image in detections}
    assert evaluate(truth, nothing, resamples=5).stats["ap"] == 0


def test_draws_without_any_object_are_left_out():
    truth, detections = scene(2, noise=0, false=0)
    truth["annotations"] = [note for note in truth["annotations"] if note["image_id"] == 1]
    found = evaluate(truth, detections, resamples=60)
    empty = np.isnan(found.resamples["ap50"])
    assert 5 < empty.sum() < 30  # one draw in four has image 2 twice
    assert np.isfinite(found.interval("ap50")).all()


def test_only_the_images_detected_in_are_scored():
    truth, detections = scene(6)
    del detections[4]
    assert evaluate(truth, detections, resamples=5).images == 5


@pytest.mark.parametrize(("images", "size"), [(5, 200), (188, 200), (1000, 200), (2000, 100), (5000, 40), (50_000, 40)])
def test_bootstrap_size(images, size):
    assert bootstrap_size(images) == size


def evaluation(ap, draws, groups=100):
    return Evaluation({"ap": ap}, {"ap": np.asarray(draws)}, groups, groups, "none")


NOISE = np.linspace(-0.02, 0.02, 101)


@pytest.mark.parametrize(
    ("ap", "noise", "answer"),
    [
        (0.40, 0.0, "holds"),
        (0.38, 0.0, "holds"),  # exactly 0.95 x 0.40: at the floor
        (0.37, 0.0, "fails"),
        (0.30, 1.0, "fails"),
        (0.37, 1.0, "undecidable"),
        (0.39, 1.0, "undecidable"),
        (0.43, 1.0, "holds"),
    ],
)
def test_floor_answers(ap, noise, answer):
    reference = evaluation(0.40, np.full(101, 0.40))
    verdict = floor(evaluation(ap, ap + noise * NOISE + 1e-12), reference, 0.95)
    assert verdict.answer == answer, str(verdict)


def test_floor_is_paired():
    """What both models share in a draw does not blur the difference."""
    shared = 10 * NOISE
    verdict = floor(evaluation(0.37, 0.37 + 0.95 * shared), evaluation(0.40, 0.40 + shared), 0.95)
    assert verdict.answer == "fails"


def test_undecidable_says_how_many_images_it_needs():
    verdict = floor(evaluation(0.37, 0.37 + NOISE), evaluation(0.40, np.full(101, 0.40)), 0.95)
    half = (verdict.high - verdict.low) / 2
    assert verdict.needs == int(np.ceil(100 * (half / 0.01) ** 2))
    assert "undecidable at n=100 photographs: margin -0.0100" in str(verdict)
    assert f"needs about n={verdict.needs}: pass a larger set" in str(verdict)


def test_one_photograph_decides_nothing():
    one = evaluation(0.5, np.full(10, 0.5), groups=1)
    assert floor(one, one, 0.5).answer == "undecidable"


def test_floor_refuses_different_images():
    with pytest.raises(DataError, match="the same images, got 100 against 50"):
        floor(evaluation(0.4, NOISE), evaluation(0.4, NOISE, groups=50), 0.95)
