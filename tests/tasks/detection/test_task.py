"""The task on sessions that answer from a table."""

import json
import subprocess
import sys
import warnings

import numpy as np
import pytest

from benchgate.core import DataError, InvalidOutput
from benchgate.core.shards import Shard
from benchgate.tasks.detection import Detection, agreement_data, assess, load_coco, photographs
from benchgate.tasks.detection.detecting import detect
from tests.tasks.detection.helpers import Answers, detector, share, write_coco

SIZES = [(40, 30), (60, 30), (50, 20)]
BOXES = [(1, (2, 3, 10, 12, 1)), (1, (20, 4, 15, 20, 3)), (2, (0, 0, 40, 30, 2)), (3, (5, 5, 20, 10, 3))]
RIGHT = [[share(box, SIZES[i]) for image, box in BOXES if image == i + 1] for i in range(3)]
TASK = Detection()


@pytest.fixture
def folder(tmp_path):
    write_coco(tmp_path, SIZES, BOXES)
    return tmp_path


def test_right_answers_score_one(folder):
    metrics = TASK.score(Answers(RIGHT), detector(), load_coco(folder))
    assert {"ap", "ap50", "ap75", "ap_small", "ar", "images_excluded"} <= set(metrics)
    assert metrics["ap"].value == pytest.approx(1)
    assert metrics["ap"].n == 3
    assert "against annotations, 3 images" in metrics["ap"].method
    assert metrics["images_excluded"].value == 0


def test_what_is_drawn_again_is_kept_and_makes_the_interval(folder):
    """Two cells' values are of the same images, so that their difference is paired."""
    right, worse = (TASK.score(Answers(found), detector(), load_coco(folder)) for found in (RIGHT, [*RIGHT[:2], []]))
    for name in ("ap", "ap50"):
        assert len(right[name].resamples) == len(worse[name].resamples) == 200
        half = 1.96 * np.std(worse[name].resamples, ddof=1)
        assert worse[name].high == pytest.approx(min(1.0, worse[name].value + half))
        assert all(a >= b for a, b in zip(right[name].resamples, worse[name].resamples, strict=True))
    assert right["ap_small"].resamples == ()


def test_swapped_class_ids_collapse(folder):
    assert TASK.score(Answers(RIGHT), detector(classes=(2, 3, 1)), load_coco(folder))["ap"].value == 0


def test_an_index_that_is_no_category_is_no_detection(folder):
    found = detect(Answers(RIGHT), detector(classes=(1, 0, 3)), load_coco(folder))
    assert [len(boxes) for boxes in found.boxes.values()] == [2, 0, 1]


def test_corrupt_image_is_counted_named_and_costs_no_ap(folder):
    (folder / "val2017" / "2.jpg").write_bytes((folder / "val2017" / "2.jpg").read_bytes()[:300])
    with pytest.warns(UserWarning, match=r"1 not scored: 2\.jpg: .*(corrupt|not an image)"):
        metrics = TASK.score(Answers([RIGHT[0], RIGHT[2]]), detector(), load_coco(folder))
    assert metrics["ap"].value == pytest.approx(1)
    assert metrics["images_excluded"].value == 1
    assert "2.jpg" in metrics["images_excluded"].method


@pytest.mark.parametrize("of", [1, 2, 3])
@pytest.mark.parametrize("broken", [None, "1.jpg", "3.jpg"])
def test_shards_answer_to_the_digit_what_is_scored_whole(folder, of, broken):
    if broken is not None:
        (folder / "val2017" / broken).write_bytes(b"")
    read = [boxes for place, boxes in enumerate(RIGHT, 1) if f"{place}.jpg" != broken]
    data = load_coco(folder)
    shards = []
    for number in range(of):
        places = [place for place in range(3)[number::of] if f"{place + 1}.jpg" != broken]
        found = TASK.answers(Answers([RIGHT[place] for place in places]), detector(), data, Shard(number, of))
        shards.append(json.loads(json.dumps(found)))
    answers = {name: answer for shard in reversed(shards) for name, answer in shard.items()}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        summed = TASK.summed(Answers([]), detector(), data, answers)
        assert summed == TASK.score(Answers(read), detector(), data)
    assert len(told) == (0 if broken is None else 2)
    assert summed["images_excluded"].value == (broken is not None)


def test_no_readable_image_is_an_error(folder):
    for path in (folder / "val2017").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="no image could be read"):
        TASK.score(Answers(RIGHT), detector(), load_coco(folder))


def test_outputs_that_are_not_finite_are_not_scored(folder):
    class Broken(Answers):
        def __call__(self, inputs):
            return {**super().__call__(inputs), "logits": np.full((1, 2, 4), np.inf)}

    with pytest.raises(InvalidOutput, match="'logits'"):
        TASK.score(Broken(RIGHT), detector(), load_coco(folder))


def test_classes_that_the_data_does_not_have(folder):
    with pytest.raises(DataError, match=r"category ids \[90\] of 3; the data has 3"):
        TASK.score(Answers(RIGHT), detector(classes=(1, 2, 90)), load_coco(folder))


def test_class_list_of_another_length(folder):
    with pytest.raises(InvalidOutput, match="2 classes \\+ nothing"):
        TASK.score(Answers(RIGHT), detector(classes=(1, 2)), load_coco(folder))


def test_score_needs_data():
    with pytest.raises(DataError, match="--cell-coco=DIR"):
        TASK.score(Answers(RIGHT), detector(), None)


def test_a_session_is_evaluated_once(folder):
    data, session = load_coco(folder), Answers(RIGHT)
    first = assess(session, detector(), data)
    assert assess(session, detector(), data) is first
    assert session.calls == 3


def test_agreement_has_names_of_its_own(folder):
    photos = photographs("two", [folder / "val2017" / "1.jpg", folder / "val2017" / "3.jpg"])
    views = [RIGHT[0]] * 3 + [RIGHT[2]] * 3
    data = agreement_data(photos, Answers(views), detector())
    metrics = TASK.score(Answers(views), detector(), data)
    assert set(metrics) == {"agreement_ap", "agreement_ap50", "images_excluded"}
    assert metrics["agreement_ap"].value == pytest.approx(1)
    assert metrics["agreement_ap"].n == 2
    assert "against fake's own fp32 detections, 6 images" in metrics["agreement_ap"].method
    assert data.describe()["truth"].startswith("agreement")
    worse = TASK.score(Answers([*views[:3], [], [], []]), detector(), data)
    assert worse["agreement_ap50"].value < 0.8


def test_agreement_with_a_model_that_finds_nothing(folder):
    with pytest.raises(DataError, match="finds nothing"):
        agreement_data(photographs("one", [folder / "val2017" / "1.jpg"]), Answers([[]]), detector())


def test_photographs_alone_cannot_be_scored(folder):
    with pytest.raises(DataError, match="no annotations; agreement_data"):
        TASK.score(Answers(RIGHT), detector(), photographs("one", [folder / "val2017" / "1.jpg"]))


@pytest.mark.parametrize("batch", [1, 3])
def test_inference_times_the_session_alone(batch):
    session = Answers(RIGHT)
    work = TASK.operations["inference"](session, detector(), TASK.inputs(detector(), {"batch": batch}), batch=batch)
    assert session.calls == 0
    output = work.call()
    assert (work.units, work.throughput, len(output["logits"])) == (batch, "throughput_per_s", batch)
    work.check(output)
    with pytest.raises(InvalidOutput):
        work.check({"logits": np.full(3, np.nan)})


def test_end_to_end_reports_its_stages_apart():
    work = TASK.operations["end_to_end"](Answers(RIGHT), detector(), TASK.inputs(detector(), {"batch": 2}), batch=2)
    answer = work.call()
    work.check(answer.output)
    assert [len(found) for found in answer.output] == [2, 2]
    assert tuple(answer.laps) == work.laps == ("preprocess_s", "inference_s", "postprocess_s")
    assert min(answer.laps.values()) > 0


def test_batch_of_none():
    with pytest.raises(DataError, match="at least 1 image, got 0"):
        TASK.sample(detector(), 0)


def test_import_is_light():
    heavy = "{'torch', 'onnx', 'onnxruntime', 'PIL', 'pycocotools', 'ai_edge_litert', 'transformers'}"
    code = (
        "import sys, benchgate.tasks.detection, benchgate.runtimes.onnx.runtime, benchgate.runtimes.litert.runtime\n"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
