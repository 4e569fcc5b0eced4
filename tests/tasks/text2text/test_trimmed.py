"""Models with fewer tokens, for real: the logits of what stays are those of the whole model."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

import pytest

from benchgate.core import DataError
from benchgate.storage import cache
from benchgate.tasks.text2text import trimmed, vocabulary
from benchgate.tasks.text2text.models import HubT5
from benchgate.tasks.text2text.prompted import CHAT, PLAIN, Prompted
from benchgate.tasks.text2text.rewrites import Rewrite, Rewrites
from benchgate.tasks.text2text.trimmed import Trimmed
from tests.tasks.text2text import tiny_lm

pytestmark = pytest.mark.backend("torch")
ASKED = Rewrite(("the capital of france",), "who is the mayor", "who is the mayor of paris")


def data(split):
    assert split == "train", "what is held out must not decide which tokens stay"
    return Rewrites(split, "0" * 64, (ASKED,), 1)


def decoder(folder, **settings):
    return Prompted("whole", tiny_lm.saved(folder, **settings), PLAIN, max_source=60, max_target=24)


def t5(folder):
    """A T5 with rows of padding after its tokenizer's tokens, as the published ones have."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    tiny_lm.saved(folder)
    (folder / "config.json").unlink()
    shape = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2}
    torch.manual_seed(3)
    config = T5Config(vocab_size=192, **shape, decoder_start_token_id=0, eos_token_id=1, pad_token_id=0)
    T5ForConditionalGeneration(config).save_pretrained(folder)
    return HubT5("whole", str(folder), "1", max_source=90, max_target=24)


MADE = {
    "decoder": lambda folder: decoder(folder, tie_word_embeddings=False),
    "tied": lambda folder: decoder(folder, tie_word_embeddings=True),
    "t5": t5,
}


@pytest.fixture(params=MADE)
def whole(request, tmp_path, benchgate_cache):
    return MADE[request.param](tmp_path / "whole")


def logits(model):
    """Of the asked one's target, [length, vocabulary]."""
    import torch

    source = torch.tensor([model.encode(ASKED.context, ASKED.query)])
    target = torch.tensor([[model.start_token, *model.encode_target(ASKED.reformulation)]])
    with torch.inference_mode():
        return model.build().forward(source, torch.ones_like(source), target)[0]


def kept(model):
    """Old ids in the order of the new ones, by the names of the tokens."""
    old, new = (json.loads((one.folder() / "tokenizer.json").read_text()) for one in (model.of, model))
    places = {text: number for number, (text, _) in enumerate(old["model"]["vocab"])}
    places |= {entry["content"]: entry["id"] for entry in old["added_tokens"]}
    names = {number: text for number, (text, _) in enumerate(new["model"]["vocab"])}
    names |= {entry["id"]: entry["content"] for entry in new["added_tokens"]}
    return [places[names[number]] for number in range(len(names))]


def test_the_logits_of_what_stays_are_those_of_the_whole_model(whole):
    import torch

    model = Trimmed("smaller", whole, data)
    stay = kept(model)
    assert model.vocabulary == len(stay) < whole.vocabulary
    assert [stay[number] for number in model.encode(ASKED.context, ASKED.query)] == whole.encode(
        ASKED.context, ASKED.query
    )
    torch.testing.assert_close(logits(model), logits(whole)[:, stay])
    assert model.decode(model.encode_target(ASKED.reformulation)) == ASKED.reformulation
    for name in ("start_token", "end_token", "pad_token"):
        assert stay[getattr(model, name)] == getattr(whole, name)


def test_all_of_the_model_is_smaller_by_those_rows(whole):
    model = Trimmed("smaller", whole, data)
    before, after = (sum(p.numel() for p in one.build().parameters()) for one in (whole, model))
    tables = 2 if whole.architecture == "decoder" and not _tied(whole) else 1
    assert before - after == tables * 16 * (whole.vocabulary - model.vocabulary)
    assert sum(p.numel() for p in model.structure().parameters()) == after


def _tied(model):
    return model.build().pretrained.config.tie_word_embeddings


def test_it_is_made_once(whole, monkeypatch):
    first = Trimmed("smaller", whole, data).folder()
    assert first.is_relative_to(cache.artifacts())
    trimmed._folder.cache_clear()
    monkeypatch.setattr(vocabulary, "trim", None)
    assert Trimmed("smaller", whole, data).folder() == first


@dataclass(frozen=True)
class Again(Prompted):
    """The model of a name that is trained again."""

    versions: tuple[list[str], ...] = field(default=(), compare=False)

    @property
    def version(self):
        return self.versions[0][-1]

    def content(self):
        return {"version": self.version}


def test_it_is_another_one_for_whatever_decides_it(tmp_path, benchgate_cache):
    whole = decoder(tmp_path / "whole")
    fewer = Rewrites("train", "1" * 64, (Rewrite((), "rome oslo", "bern"),), 1)
    models = [
        Trimmed("smaller", whole, data),
        Trimmed("smaller", whole, data, first=100),
        Trimmed("smaller", whole, lambda split: fewer),
        Trimmed("smaller", replace(whole, max_source=30), data),
        Trimmed("smaller", replace(whole, prompt=CHAT), data),
    ]
    assert len({model.folder() for model in models}) == len(models)
    without, with_first = ({number for number in kept(model) if number < 100} for model in models[:2])
    assert without < with_first == set(range(100))


def test_a_model_that_is_trained_again_is_trimmed_again(tmp_path, benchgate_cache):
    versions = ["1"]
    of = Again("whole", tiny_lm.saved(tmp_path / "whole"), PLAIN, 60, 24, versions=(versions,))
    model = Trimmed("smaller", of, data)
    before = model.folder()
    versions.append("2")
    assert model.version == "2-trimmed"
    assert model.folder() != before


def test_the_chat_template_stays(tmp_path, benchgate_cache):
    from transformers import AutoTokenizer

    asked = replace(decoder(tmp_path / "whole"), prompt=CHAT, max_source=300)
    model = Trimmed("smaller", asked, data)
    assert AutoTokenizer.from_pretrained(model.folder()).chat_template == tiny_lm.CHAT
    assert len(model.encode(ASKED.context, ASKED.query)) == len(asked.encode(ASKED.context, ASKED.query))


def test_settings_that_are_token_ids_are_renumbered_wherever_they_are(tmp_path, benchgate_cache):
    """The last token is behind all that goes; one stays because a setting names it; 175 is padding of a table."""
    stay = kept(Trimmed("smaller", decoder(tmp_path / "plain"), data))
    last, named = stay[-1], next(number for number in range(stay[-1]) if number not in stay)
    whole = decoder(tmp_path / "whole", bos_token_id=last, eos_token_id=[1, named], pad_token_id=175)
    model = Trimmed("named", whole, data)
    stay = kept(model)
    for file in ("config.json", "generation_config.json"):
        found = json.loads((model.folder() / file).read_text())
        assert stay[found["bos_token_id"]] == last > found["bos_token_id"]
        assert [stay[number] for number in found["eos_token_id"]] == [1, named]
        assert found.get("pad_token_id") is None


def test_a_tokenizer_that_is_no_file_of_tokenizers_is_refused(tmp_path, benchgate_cache, monkeypatch):
    class InPython:
        is_fast = False

    monkeypatch.setattr(trimmed, "load_tokenizer", lambda folder: InPython())
    with pytest.raises(DataError, match=r"no `tokenizer.json`; measure the model with its whole vocabulary"):
        Trimmed("smaller", decoder(tmp_path / "whole"), data).folder()


def test_a_model_that_is_no_transformers_folder_is_refused(tmp_path, benchgate_cache):
    (tmp_path / "own").mkdir()
    own = Prompted("own", tiny_lm.Folder(tmp_path / "own"), PLAIN)
    with pytest.raises(DataError, match=r"config.json.*give a folder that save_pretrained wrote"):
        Trimmed("smaller", own, data).folder()
