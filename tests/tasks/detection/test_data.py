"""COCO folders with every fault of the issue: an error or a named exclusion, never a silently lower AP."""

import pickle

import cloudpickle
import pytest
from PIL import Image

from benchgate.core import DataError, Unavailable
from benchgate.tasks.detection import load_coco, photographs
from benchgate.tasks.detection.data import chosen
from tests.tasks.detection.helpers import detector, save, write_coco

SIZES = [(40, 30), (40, 30), (50, 20)]
BOXES = [(1, (2, 3, 10, 12, 1)), (2, (0, 0, 40, 30, 2)), (3, (5, 5, 20, 10, 3))]


@pytest.fixture
def coco(tmp_path):
    return tmp_path, write_coco(tmp_path, SIZES, BOXES)


def test_usual_layout(coco):
    data = load_coco(coco[0])
    assert ([photo.name for photo in data.photos], data.excluded) == (["1.jpg", "2.jpg", "3.jpg"], ())
    assert data.photos[0].pixels().shape == (30, 40, 3)
    assert data.describe()["truth"] == "people's annotations"


def test_limit_takes_the_first(coco):
    assert [photo.id for photo in load_coco(coco[0], limit=2).photos] == [1, 2]
    with pytest.raises(DataError, match="at least 1 image is needed, got 0"):
        load_coco(coco[0], limit=0)


def test_missing_image_is_excluded_by_name(coco):
    (coco[0] / "val2017" / "2.jpg").unlink()
    data = load_coco(coco[0])
    assert [photo.id for photo in data.photos] == [1, 3]
    assert [(item.what, item.reason.split(" in ")[0]) for item in data.excluded] == [("2.jpg", "missing")]


def test_annotation_of_an_unlisted_image_is_excluded(coco):
    folder, document = coco
    document["annotations"][0]["image_id"] = 99
    save(folder, document)
    assert [str(item) for item in load_coco(folder).excluded] == [
        "annotation 1: names image 99, which the file does not list"
    ]


@pytest.mark.parametrize(
    ("box", "problem"),
    [
        ([35, 0, 10, 10], "lies outside the image (40x30)"),
        ([-2, 0, 10, 10], "lies outside"),
        ([0, 25, 10, 7], "lies outside"),
        ([0, 0, 0, 10], "has no area"),
        ([0, 0, 10, -1], "has no area"),
        ([0, 0, 10], "not four numbers"),
        ([0, 0, float("nan"), 10], "not four numbers"),
    ],
)
def test_image_with_a_wrong_box_is_excluded_whole(coco, box, problem):
    folder, document = coco
    document["annotations"][0]["bbox"] = box
    save(folder, document)
    data = load_coco(folder)
    assert [photo.id for photo in data.photos] == [2, 3]
    (item,) = data.excluded
    assert item.what == "1.jpg"
    assert problem in item.reason


def test_a_fraction_of_a_pixel_outside_is_no_fault(coco):
    folder, document = coco
    document["annotations"][1]["bbox"] = [0, 0, 40.99, 30.5]
    save(folder, document)
    assert load_coco(folder).excluded == ()


def test_unknown_category_is_excluded(coco):
    folder, document = coco
    document["annotations"][2]["category_id"] = 7
    save(folder, document)
    assert "category 7 is not in the file's list" in str(load_coco(folder).excluded[0])


def test_another_size_than_annotated_is_told(coco):
    Image.new("RGB", (30, 40)).save(coco[0] / "val2017" / "1.jpg")
    with pytest.raises(DataError, match=r"1\.jpg: 30x40 pixels, the annotations say 40x30"):
        load_coco(coco[0]).photos[0].pixels()


def test_nothing_left_is_an_error(coco):
    for number in (1, 2, 3):
        (coco[0] / "val2017" / f"{number}.jpg").unlink()
    with pytest.raises(DataError, match=r"none of its 3 images can be used \(1\.jpg: missing"):
        load_coco(coco[0])


def test_missing_folders_say_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"no such folder; pass --cell-coco DIR"):
        load_coco(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no image folder in it, looked for val2017"):
        load_coco(tmp_path)
    (tmp_path / "val2017").mkdir()
    with pytest.raises(DataError, match=r"no annotation file.*detection\.download"):
        load_coco(tmp_path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "not JSON"),
        ("[]", "got list; expected a COCO"),
        ('{"images": [], "annotations": {}}', "no list 'annotations'"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', r"images\[0\] lacks file_name, height, width"),
    ],
)
def test_file_that_is_no_coco_file(coco, text, problem):
    (coco[0] / "annotations" / "instances_val2017.json").write_text(text, "utf-8")
    with pytest.raises(DataError, match=problem):
        load_coco(coco[0])


def test_views_of_one_photograph_are_one_group(tmp_path):
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    data = photographs("two", [tmp_path / "a.png", tmp_path / "a.png"])
    assert len({photo.id for photo in data.photos}) == len(data.photos) == 6
    assert {photo.group for photo in data.photos} == {"a.png"}
    assert data.photos[2].pixels().shape == (16, 30, 3)


def test_calibration_gives_inputs_and_needs_images(tmp_path):
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    model = detector(calibration_images=lambda: [tmp_path / "a.png"])
    assert [x.shape for x in model.calibration()] == [(1, 3, 64, 64)] * 2
    with pytest.raises(DataError, match="'fake' has no calibration images"):
        next(detector().calibration())


def test_the_data_is_known_by_its_images_and_annotations(coco):
    folder, _ = coco
    before = load_coco(folder).describe()
    assert load_coco(folder).describe() == before
    assert (before["n"], before["of"], before["seed"]) == (3, 3, None)
    assert load_coco(folder, limit=2).describe()["n"] == 2
    Image.new("RGB", (40, 30)).save(folder / "val2017" / "1.jpg")
    assert load_coco(folder).describe()["sha256"] != before["sha256"]


def test_a_process_of_a_cell_is_sent_the_data_without_what_was_evaluated_here(coco):
    class Session:
        """What a WeakKeyDictionary takes."""

    data, session = load_coco(coco[0]), Session()
    data.evaluations[session] = "found"
    sent = pickle.loads(cloudpickle.dumps(data))
    assert (sent.sha256, sent.truth) == (data.sha256, data.truth)
    assert (sent.photos[0].pixels() == data.photos[0].pixels()).all()
    assert len(sent.evaluations) == 0
    assert data.evaluations[session] == "found"


def test_a_sample_has_the_truth_of_its_images_only(coco):
    data = load_coco(coco[0])
    found = data.sample(1, seed=1)
    assert found.describe()["n"] == 1
    ids = {photo.id for photo in found.photos}
    assert {image["id"] for image in found.truth["images"]} == ids
    assert {note["image_id"] for note in found.truth["annotations"]} == ids
    assert found.evaluations is not data.evaluations


ODD = [None, "x", 10**400, float("nan"), -1, 1.5, [], {}, [[1]], True]
PLACES = [
    *(("images", 0, name) for name in ("id", "file_name", "width", "height")),
    *(("annotations", 0, name) for name in ("id", "image_id", "category_id", "bbox", "area")),
    ("categories", 0, "id"),
    ("images", 0),
    ("annotations", 0),
    ("categories", 0),
]


@pytest.mark.parametrize("value", ODD, ids=lambda value: str(value)[:9])
@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_value_of_another_kind_is_an_error_that_names_its_place_or_an_exclusion(coco, place, value):
    folder, document = coco
    *outer, last = place
    target = document
    for key in outer:
        target = target[key]
    target[last] = value
    save(folder, document)
    found = outcome(folder)
    assert f"instances_val2017.json: {place[0]}[0] " in found if isinstance(found, str) else found.photos


def outcome(folder):
    """What is loaded, or the words of the error."""
    try:
        return load_coco(folder)
    except DataError as error:
        return str(error)


@pytest.mark.parametrize("raw", [b"[" * 100_000, b"9" * 5000, b"\xff{}", b'{"images": "\\ud800"}'])
def test_annotations_that_no_json_reader_takes_are_named(coco, raw):
    (coco[0] / "annotations" / "instances_val2017.json").write_bytes(raw)
    with pytest.raises(DataError, match=r"instances_val2017\.json: "):
        load_coco(coco[0])


@pytest.mark.parametrize("name", ["../secret.jpg", "/secret.jpg", "a/../../secret.jpg", "nul\0.jpg", ""])
def test_an_image_outside_the_folder_is_refused(coco, name):
    folder, document = coco
    Image.new("RGB", (40, 30)).save(folder / "secret.jpg")
    document["images"][0]["file_name"] = name
    save(folder, document)
    with pytest.raises(DataError, match=r"images\[0\] file_name"):
        load_coco(folder)


def test_two_images_of_one_id_are_refused(coco):
    folder, document = coco
    document["images"][1]["id"] = 1
    save(folder, document)
    with pytest.raises(DataError, match="images: id 1 comes twice"):
        load_coco(folder)


def test_a_suite_scores_the_folder_that_it_names(coco, monkeypatch):
    monkeypatch.delenv("BENCHGATE_COCO", raising=False)
    with pytest.raises(Unavailable, match=r"no COCO folder .* --cell-coco=DIR"):
        chosen()
    assert chosen(str(coco[0])).sha256 == load_coco(coco[0]).sha256
    assert [photo.id for photo in chosen(str(coco[0]), images=2).photos] == [1, 2]
    assert len(chosen(str(coco[0]), samples=1)) == 1
    monkeypatch.setenv("BENCHGATE_COCO", str(coco[0]))
    assert len(chosen()) == 3
