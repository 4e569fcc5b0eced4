"""The files of a text2text artifact for ONNX Runtime."""

import pytest

from benchgate.core import runtimes, schemes
from tests.tasks.text2text.tiny import MODELS

pytestmark = [pytest.mark.backend("torch"), pytest.mark.backend("onnxruntime")]
DECODER = MODELS[-1]


def test_the_weights_of_a_model_whose_source_goes_the_way_of_its_target_are_there_once(tmp_path):
    runtimes["onnxruntime"].build(DECODER, schemes["fp32"], tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["extend.onnx"]
    module = DECODER.build()
    # torch's head shares its weight with the embedding; a graph has both.
    both = sum(p.nbytes for p in module.parameters()) + module.lm.get_input_embeddings().weight.nbytes
    session = runtimes["onnxruntime"].load(tmp_path, DECODER, "cpu", 1)
    assert session.weights_bytes < 1.1 * both
