"""The architectures: a step at a time and teacher forcing agree, padding changes nothing, tracing and export hold."""

from __future__ import annotations

import itertools
import warnings

import pytest

pytestmark = pytest.mark.backend("torch")

PAD, START, END, VOCABULARY = 0, 3, 1, 40


def t5(**options):
    """T5 with random weights; the output layer has a scale at which the logits differ visibly."""
    from transformers import T5Config, T5ForConditionalGeneration

    from benchgate.tasks.text2text.t5 import T5Seq2Seq

    config = T5Config(
        **{
            "vocab_size": VOCABULARY,
            "d_model": 16,
            "d_kv": 4,
            "d_ff": 24,
            "num_layers": 2,
            "num_heads": 4,
            "relative_attention_num_buckets": 8,
            "relative_attention_max_distance": 12,
            "decoder_start_token_id": START,
            "pad_token_id": PAD,
            "eos_token_id": END,
            **options,
        }
    )
    return T5Seq2Seq(T5ForConditionalGeneration(config))


def flan_t5():
    return t5(feed_forward_proj="gated-gelu", tie_word_embeddings=False)


def transformer():
    from fixtures.seq2seq.transformer import TransformerConfig, TransformerSeq2Seq

    return TransformerSeq2Seq(TransformerConfig(VOCABULARY, width=16, heads=4, hidden=24, decoder_layers=2, longest=64))


def lstm():
    from fixtures.seq2seq.lstm import LSTMConfig, LSTMSeq2Seq

    return LSTMSeq2Seq(LSTMConfig(VOCABULARY, width=12, hidden=16))


def decoder():
    from transformers import LlamaConfig, LlamaForCausalLM

    from benchgate.tasks.text2text.decoder_only import DecoderSeq2Seq

    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, eos_token_id=END, pad_token_id=PAD,
    )  # fmt: skip
    return DecoderSeq2Seq(LlamaForCausalLM(config))


ARCHITECTURES = [t5, flan_t5, transformer, lstm, decoder]


@pytest.fixture(params=ARCHITECTURES, ids=lambda make: make.__name__)
def module(request):
    import torch

    torch.manual_seed(5)
    return request.param().eval()


def batch(*lengths, target=9, seed=0):
    """Random sources of these lengths, padded, their mask, and random targets."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    source = torch.randint(4, VOCABULARY, (len(lengths), max(lengths)), generator=generator)
    mask = (torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]).long()
    targets = torch.randint(4, VOCABULARY, (len(lengths), target), generator=generator)
    targets[:, 0] = START
    return source * mask, mask, targets


def stepped(module, source, mask, target):
    import torch

    memory, cache = module.begin(source, mask)
    rows = []
    for column in target.T:
        logits, cache = module.step(column, memory, cache)
        rows.append(logits)
    return torch.stack(rows, 1)


def test_a_step_at_a_time_gives_the_logits_of_teacher_forcing(module):
    import torch

    source, mask, target = batch(20, 3, 11, target=17)
    forced = module(source, mask, target)
    assert forced.shape == (3, 17, VOCABULARY)
    assert forced.std() > 0.01
    torch.testing.assert_close(stepped(module, source, mask, target), forced, atol=1e-5, rtol=0)


def test_the_future_of_the_target_changes_nothing(module):
    import torch

    source, mask, target = batch(8, 8)
    other = target.clone()
    other[:, 5:] = (other[:, 5:] + 1) % VOCABULARY
    before, after = module(source, mask, target), module(source, mask, other)
    torch.testing.assert_close(before[:, :5], after[:, :5], atol=1e-5, rtol=0)
    assert not torch.allclose(before[:, 5], after[:, 5])


def test_padding_and_what_stands_in_it_change_nothing(module):
    import torch

    source, mask, target = batch(20, 3, 11)
    together = module(source, mask, target)
    junk = module(torch.where(mask == 1, source, 7), mask, target)
    torch.testing.assert_close(junk, together, atol=1e-5, rtol=0)
    for row, length in enumerate((20, 3, 11)):
        alone = module(source[row : row + 1, :length], mask[row : row + 1, :length], target[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=0)


def test_a_decoder_is_extended_by_several_tokens_as_by_one_after_another():
    import torch

    torch.manual_seed(5)
    module = decoder().eval()
    source, mask, target = batch(7, 4)
    _, cache = module.extend(source, mask, ())
    longer = torch.cat((mask, torch.ones_like(target)), 1)
    together, grown = module.extend(target, longer, cache)
    torch.testing.assert_close(together, stepped(module, source, mask, target)[:, -1], atol=1e-5, rtol=0)
    assert grown[0].shape[2] == source.shape[1] + target.shape[1]


def test_the_source_and_the_order_of_its_tokens_matter(module):
    import torch

    source, mask, target = batch(8, 8)
    assert not torch.allclose(module(source, mask, target), module(source.flip(1), mask, target), atol=1e-4)


def test_state_is_batch_first_so_that_beams_can_be_reordered(module):
    import torch

    source, mask, target = batch(6, 4, 6)
    order = torch.tensor([2, 2, 0, 1])
    memory, cache = module.begin(source, mask)
    _, cache = module.step(target[:, 0], memory, cache)
    logits, _ = module.step(target[:, 1], memory, cache)
    chosen = [tuple(part.index_select(0, order) for part in state) for state in (memory, cache)]
    again, _ = module.step(target[order, 1], *chosen)
    torch.testing.assert_close(again, logits[order], atol=1e-5, rtol=0)


def test_begin_and_step_trace_for_any_batch_length_and_past(module):
    import torch

    begin, step = traced(module, *batch(7, 5))
    source, mask, target = batch(3, 12, 9, 1, target=15, seed=2)
    memory, cache = begin(source, mask)
    rows = []
    for column in target.T:
        logits, cache = step(column, memory, cache)
        rows.append(logits)
    torch.testing.assert_close(torch.stack(rows, 1), module(source, mask, target), atol=1e-5, rtol=0)


def traced(module, source, mask, target):
    import torch

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        memory, cache = module.begin(source, mask)
        begin = torch.jit.trace_module(module, {"begin": (source, mask)}, check_trace=False).begin
        step = torch.jit.trace_module(module, {"step": (target[:, 0], memory, cache)}, check_trace=False).step
        return begin, step


@pytest.mark.backend("onnxruntime")
@pytest.mark.parametrize("make", ARCHITECTURES, ids=lambda make: make.__name__)
def test_step_exports_to_onnx_with_any_batch_length_and_past(make, tmp_path):
    import numpy as np
    import onnxruntime
    import torch

    torch.manual_seed(5)
    module = make().eval()
    source, mask, target = batch(7, 5)
    begin = exported(Begin(module), (source, mask), tmp_path / "begin.onnx")
    memory, cache = module.begin(source, mask)
    step = exported(Step(module, len(memory)), (target[:, 0], *memory, *cache), tmp_path / "step.onnx")
    source, mask, target = batch(3, 12, 9, 1, target=6, seed=2)
    run = [onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]) for path in (begin, step)]
    state = run[0].run(None, {"x0": source.numpy(), "x1": mask.numpy()})
    rows = []
    for column in target.T:
        inputs = [column.numpy(), *state]
        names = {f"x{i}": value for i, value in enumerate(inputs)}
        logits, *cache = run[1].run(None, {i.name: names[i.name] for i in run[1].get_inputs()})
        state = [*state[: len(memory)], *cache]
        rows.append(logits)
    np.testing.assert_allclose(np.stack(rows, 1), module(source, mask, target).detach().numpy(), atol=1e-5)


def Begin(module):  # noqa: N802
    import torch

    class Begin(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.module = module

        def forward(self, source, mask):
            return tuple(itertools.chain(*self.module.begin(source, mask)))

    return Begin().eval()


def Step(module, memory):  # noqa: N802
    import torch

    class Step(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.module = module

        def forward(self, tokens, *state):
            logits, cache = self.module.step(tokens, state[:memory], state[memory:])
            return (logits, *cache)

    return Step().eval()


def exported(module, inputs, path):
    import torch

    names = [f"x{i}" for i in range(len(inputs))]
    axes = {name: {axis: f"{name}_{axis}" for axis in range(x.ndim)} for name, x in zip(names, inputs, strict=True)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, inputs, str(path), input_names=names, dynamic_axes=axes, dynamo=False)
    return str(path)
