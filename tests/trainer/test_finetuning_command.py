"""`benchgate train NAME --base MODEL --data FILE`: from a folder and a file to a model evaluated by its name."""

from __future__ import annotations

import json

import pytest

from benchgate.registration import by_place
from tests.tasks.text2text import tiny_lm
from tests.trainer.tiny import FOLLOWING, WORDS

pytestmark = pytest.mark.backend("torch")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_lm.saved(tmp_path_factory.mktemp("lm") / "tiny")


@pytest.fixture
def told(benchgate_cache, tmp_path, monkeypatch, capsys):
    """Runs the command in an empty folder: (exit code, standard output, standard error)."""
    from benchgate.commands import main as cli

    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = cli.main(list(map(str, arguments)))
        return code, *capsys.readouterr()

    return run


def conversations(path):
    lines = [
        {"context": [f"town {n}", "about rome"], "raw": f"paris {WORDS[n % 6]}", "rewrite": FOLLOWING[WORDS[n % 6]]}
        for n in range(120)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_new_name_a_base_and_a_file_make_a_model_that_is_evaluated_by_its_name(told, base, tmp_path):
    file = conversations(tmp_path / "talk.jsonl")
    code, out, err = told("train", "mine", "--base", base.folder(), "--data", file, "--steps", 6, "--batch", 4)
    assert code == 0, err
    assert "mine" in out
    held_out = tmp_path / "training" / "mine" / "test.jsonl"
    assert f"benchgate: {held_out.relative_to(tmp_path)}" in err
    code, out, err = told("evaluate", "mine", "--data", held_out)
    assert code == 0, err
    assert "all, query copied" in out
    assert "context of 1-2 turns" in out
    code, out, err = told("build", "mine", "--scheme", "int8-dynamic", "--runtime", "torch")
    assert code == 0, err


def test_data_of_which_nothing_is_held_out_are_refused_before_training(told, base, tmp_path, monkeypatch):
    monkeypatch.setattr("benchgate.tasks.text2text.conversations.HELD_OUT", {"test": 0.0, "dev": 0.5})
    file = conversations(tmp_path / "other.jsonl")
    code, _, err = told("train", "mine", "--base", base.folder(), "--data", file, "--steps", 4)
    assert code == 2
    assert "other: no conversation falls into test; give files with more conversations" in err


def test_a_t5_folder_is_fine_tuned_too(told, tmp_path):
    from transformers import PreTrainedTokenizerFast

    from benchgate.tasks.text2text.codec import train_unigram
    from tests.trainer.tiny import dropping_t5

    dropping_t5(vocabulary=160, width=16).t5.save_pretrained(tmp_path / "t5")
    tokenizer = train_unigram(tiny_lm.TEXTS * 9, 150)
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(tmp_path / "t5")
    file = conversations(tmp_path / "talk.jsonl")
    code, _, err = told("train", "mine", "--base", tmp_path / "t5", "--data", file, "--steps", 4, "--lora", 2)
    assert code == 0, err
    found = by_place("mine")
    assert found.architecture == "t5"
    assert type(found.build()).__name__ == "T5Seq2Seq"
    code, _, err = told("train", "mine2", "--base", tmp_path / "t5", "--data", file, "--steps", 4, "--checkpointing")
    assert code == 2
    assert "--checkpointing is for causal language models" in err


@pytest.mark.parametrize("name", ["./not-there", "../not/there", "gpt-99"])
def test_a_base_that_is_nowhere_says_what_may_be_one(told, tmp_path, name):
    file = conversations(tmp_path / "talk.jsonl")
    code, _, err = told("train", "mine", "--base", name, "--data", file)
    assert code == 2
    assert f"--base: unknown model '{name}'" in err
    assert "a folder that is there or an id of the hub" in err
