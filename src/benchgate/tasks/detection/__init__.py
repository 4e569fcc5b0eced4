"""Object detection, scored by COCO's average precision: the task, and the data that describe a detector."""

from benchgate.gate.paired import Verdict
from benchgate.tasks.detection.boxes import CellHead, QueryHead, YoloHead
from benchgate.tasks.detection.data import DetectionData, Photo, load_coco, photographs
from benchgate.tasks.detection.detecting import detect
from benchgate.tasks.detection.floors import floor
from benchgate.tasks.detection.images import Preparation
from benchgate.tasks.detection.model import (
    COCO_80,
    COCO_91,
    Detector,
    DetectorData,
    DetectorFile,
    KerasDetector,
)
from benchgate.tasks.detection.task import Detection, agreement_data, assess

__all__ = [
    "COCO_80",
    "COCO_91",
    "CellHead",
    "Detection",
    "DetectionData",
    "Detector",
    "DetectorData",
    "DetectorFile",
    "KerasDetector",
    "Photo",
    "Preparation",
    "QueryHead",
    "Verdict",
    "YoloHead",
    "agreement_data",
    "assess",
    "detect",
    "floor",
    "load_coco",
    "photographs",
]
