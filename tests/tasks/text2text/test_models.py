"""T5 from a folder as transformers writes it: weights, tokens, and what is no such folder."""

from __future__ import annotations

import json

import pytest

from benchgate.core import DataError, models
from benchgate.registration import by_place
from benchgate.storage.download import FetchError
from benchgate.tasks.causal_lm.models import HubModel
from benchgate.tasks.text2text.models import HubT5, from_folder

SETTINGS = {
    "vocab_size": 160, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2,
    "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "decoder_start_token_id": 0,
}  # fmt: skip


def config_folder(path, **config):
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    return path


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A random T5 with an output layer of its own, as FLAN-T5 has, and its module."""
    pytest.importorskip("sentencepiece", reason="pip install 'benchgate[train]'")
    import torch
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    from benchgate.tasks.text2text.codec import train_unigram

    folder = tmp_path_factory.mktemp("models") / "small-t5"
    torch.manual_seed(4)
    t5 = T5ForConditionalGeneration(T5Config(**SETTINGS)).eval()
    t5.lm_head.weight = torch.nn.Parameter(torch.randn_like(t5.lm_head.weight))
    t5.save_pretrained(folder)
    tokenizer = train_unigram(["the capital of france", "who is the mayor of paris"] * 9, 150)
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    return folder, t5


@pytest.mark.backend("torch")
def test_the_folder_gives_the_logits_of_the_model_that_was_saved(saved):
    import torch

    folder, t5 = saved
    model = by_place(str(folder))
    assert (model.name, model.version, model.task) == ("small-t5", "local", "text2text")
    module, source = model.build(), torch.tensor([model.encode(["who is she"], "the mayor of paris")])
    mask, target = torch.ones_like(source), torch.tensor([[0, 5, 6]])
    theirs = t5(input_ids=source, attention_mask=mask, decoder_input_ids=target).logits
    torch.testing.assert_close(module(source, mask, target), theirs, atol=1e-5, rtol=0)
    assert theirs.shape[2] == model.vocabulary == 160
    structure = model.structure().eval()
    structure.load_state_dict(module.state_dict(), assign=True)
    assert torch.equal(structure(source, mask, target), module(source, mask, target))


@pytest.mark.backend("torch")
def test_the_prompt_holds_conversation_and_question_and_ends_once(saved):
    model = by_place(str(saved[0]))
    assert (model.start_token, model.end_token, model.pad_token) == (0, 1, 0)
    tokens = model.encode(["who is the mayor </s>"], "of paris")
    assert tokens[-1] == 1
    assert 1 not in tokens[:-1]
    said = model.decode(tokens)
    assert said.startswith("Rewrite the last question")
    assert said.endswith("Conversation: who is the mayor </s> | Last question: of paris Rewritten question:")
    assert len(model.encode(["mayor " * 999], "of paris")) == model.max_source
    assert model.encode_target("paris")[-1] == 1
    assert model.decode(model.encode_target("paris")) == "paris"


@pytest.mark.backend("torch")
def test_a_pickled_checkpoint_is_not_loaded(saved, tmp_path):
    import shutil

    import torch

    folder = tmp_path / "pickled"
    shutil.copytree(saved[0], folder)
    (folder / "model.safetensors").unlink()
    torch.save(saved[1].state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        by_place(str(folder)).build()


def test_a_folder_is_a_t5_by_its_configuration(tmp_path):
    assert isinstance(by_place(str(config_folder(tmp_path / "a", model_type="t5"))), HubT5)
    assert isinstance(by_place(str(config_folder(tmp_path / "b", model_type="gpt2"))), HubModel)
    assert from_folder(tmp_path) is None
    assert by_place("no-such-place") is None


@pytest.mark.parametrize("content", ["", "{", "[]", "[" * 100_000, " " * 2_000_000])
def test_a_configuration_that_is_none_is_named(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(DataError, match=r"config\.json: "):
        from_folder(tmp_path)


def test_a_setting_that_is_no_number_is_named(tmp_path):
    model = from_folder(config_folder(tmp_path / "a", model_type="t5", eos_token_id=[1, 2]))
    with pytest.raises(DataError, match=r"eos_token_id is \[1, 2\], a whole number is needed"):
        _ = model.end_token
    with pytest.raises(DataError, match="vocab_size is None"):
        _ = model.vocabulary


@pytest.mark.backend("torch")
def test_the_hub_is_said_to_be_out_of_reach():
    import fixtures.reformulation_models  # noqa: F401

    with pytest.raises(FetchError, match=r"cannot fetch google/flan-t5-small@main from the hub .*name the folder"):
        models["google/flan-t5-small"].build()
