"""T5 against transformers, from which its weights come."""

from __future__ import annotations

import pytest

from tests.tasks.text2text.test_seq2seq import END, START, batch, flan_t5, t5

pytestmark = pytest.mark.backend("torch")


@pytest.mark.parametrize("make", [t5, flan_t5], ids=lambda make: make.__name__)
def test_t5_gives_the_logits_of_transformers(make):
    import torch

    torch.manual_seed(5)
    module = make().eval()
    source, mask, target = batch(40, 3, 11, target=30)  # longer than the furthest distance
    theirs = module.t5(input_ids=source, attention_mask=mask, decoder_input_ids=target).logits
    torch.testing.assert_close(module(source, mask, target), theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("make", [t5, flan_t5], ids=lambda make: make.__name__)
def test_t5_decodes_greedily_what_transformers_generates(make):
    import torch

    torch.manual_seed(6)
    module = make().eval()
    for name, weight in module.named_parameters():
        if name.endswith(("o.weight", "wo.weight")):
            weight.data *= 4  # or a tied output layer just repeats the token that came in
    source, mask, _ = batch(20, 3, 11)
    theirs = module.t5.generate(
        input_ids=source, attention_mask=mask, max_new_tokens=25, min_new_tokens=25, do_sample=False
    )
    memory, cache = module.begin(source, mask)
    tokens, ours = torch.full((3,), START), []
    for _ in range(25):
        logits, cache = module.step(tokens, memory, cache)
        logits[:, END] = -torch.inf  # what min_new_tokens does
        tokens = logits.argmax(1)
        ours.append(tokens)
    assert torch.equal(torch.stack(ours, 1), theirs[:, 1:])
    assert len(theirs.unique()) > 3


def test_t5_drops_out_in_training_and_is_repeatable_in_use():
    import torch

    torch.manual_seed(5)
    module, inputs = t5(), batch(6, 6)
    assert not torch.equal(module.train()(*inputs), module(*inputs))
    assert torch.equal(module.eval()(*inputs), module(*inputs))
