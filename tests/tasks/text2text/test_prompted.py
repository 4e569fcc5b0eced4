"""A causal language model as a text2text model: its prompts, and its logits against transformers' own."""

from __future__ import annotations

import json

import pytest

from benchgate.core import DataError
from benchgate.tasks.text2text.prompted import CHAT, PLAIN, Prompted
from tests.tasks.text2text import tiny_lm

pytestmark = pytest.mark.backend("torch")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_lm.saved(tmp_path_factory.mktemp("lm") / "tiny")


@pytest.fixture(scope="module")
def model(base):
    return Prompted("asked", base, PLAIN, max_source=60, max_target=24)


def text(model, tokens):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model.folder()).decode(tokens)


def test_the_prompt_is_the_template_with_the_conversation_and_its_last_token_starts_the_answer(base):
    chat = Prompted("asked", base, CHAT, max_source=300)
    source = chat.encode(["about rome"], "who is the mayor")
    said = text(chat, [*source, chat.start_token])
    assert said.startswith("<user>")
    assert said.endswith("</s><reply>")
    assert "Last question: who is the mayor</s>" in said
    assert "about rome" in said
    assert chat.end_token == chat.encode_target("rome")[-1] == 1


def test_a_query_that_spells_a_special_token_is_text(model):
    assert not {0, 1} & set(model.encode(["</s>"], "<pad> paris</s>"))


def test_the_beginning_of_a_long_conversation_is_kept_with_its_end(model):
    tokens = model.encode(["paris", *["who is the mayor of paris"] * 20, "kiel"], "oslo")
    assert len(tokens) == 60
    said = text(model, tokens)
    assert said.startswith("paris")
    assert "kiel" in said


def test_an_answer_is_the_text_without_the_end(model):
    assert model.decode(model.encode_target("the capital of france")) == "the capital of france"


def test_padded_prompts_have_the_logits_that_transformers_gives_each_alone(model):
    import torch

    module = model.build()
    sources, target = [[20, 21, 22, 23, 24], [30, 31]], [5, 6, 7]
    with torch.inference_mode():
        alone = [module.lm(torch.tensor([[*source, *target]])).logits[0, -3:] for source in sources]
        source = torch.tensor([sources[0], [*sources[1], 0, 0, 0]])
        mask = torch.tensor([[1] * 5, [1, 1, 0, 0, 0]])
        forced = module(source, mask, torch.tensor([target, target]))
        memory, cache = module.begin(source, mask)
        stepped = []
        for token in target:
            logits, cache = module.step(torch.tensor([token, token]), memory, cache)
            stepped.append(logits)
    torch.testing.assert_close(forced, torch.stack(alone), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.stack(stepped, 1), torch.stack(alone), atol=1e-5, rtol=0)


def test_the_structure_takes_the_weights(model):
    import torch

    module, empty = model.build(), model.structure().eval()
    empty.load_state_dict(module.state_dict(), assign=True)
    source, target = torch.tensor([[20, 21]]), torch.tensor([[5]])
    with torch.inference_mode():
        found = [one(source, torch.ones_like(source), target) for one in (module, empty)]
    torch.testing.assert_close(*found)


def test_the_prompt_is_part_of_what_decides_the_model(base):
    assert Prompted("a", base, PLAIN).content() != Prompted("a", base, CHAT).content()


def test_a_tokenizer_without_a_chat_template_is_asked_plainly(base, tmp_path):
    tiny_lm.saved(tmp_path / "other")
    for name in ("chat_template.jinja", "tokenizer_config.json"):
        path = tmp_path / "other" / name
        if path.is_file() and path.suffix == ".json":
            raw = json.loads(path.read_text())
            raw.pop("chat_template", None)
            path.write_text(json.dumps(raw))
        else:
            path.unlink(missing_ok=True)
    with pytest.raises(DataError, match="no chat template; use the prompt 'plain'"):
        Prompted("asked", tiny_lm.Folder(tmp_path / "other"), CHAT).encode([], "paris")


def test_an_unknown_prompt_is_refused_at_once(base):
    with pytest.raises(DataError, match="unknown prompt 'chta'; did you mean 'chat'"):
        Prompted("asked", base, "chta")


def test_the_folder_is_looked_up_once_however_many_queries_are_encoded(base):
    asked = []

    class Asked(tiny_lm.Folder):
        def folder(self):
            asked.append(self)
            return super().folder()

    model = Prompted("asked once", Asked(base.path), PLAIN)
    for _ in range(3):
        model.decode(model.encode(["about rome"], "paris")[: model.start_token])
    assert len(asked) == 1


def test_a_language_model_without_positions_of_its_own_is_refused(tmp_path):
    from transformers import BloomConfig, BloomForCausalLM

    shape = {"vocab_size": 176, "hidden_size": 16, "n_layer": 1, "n_head": 2}
    tiny_lm.saved(tmp_path)
    BloomForCausalLM(BloomConfig(**shape)).save_pretrained(tmp_path)
    with pytest.raises(DataError, match="asked: BloomForCausalLM takes no position_ids; a model whose cache"):
        Prompted("asked", tiny_lm.Folder(tmp_path), PLAIN).build()
