"""When layers are compiled, and that compiled layers compute the same."""

from __future__ import annotations

import pytest
import torch
import torch._dynamo
from transformers import LlamaConfig, LlamaForCausalLM, OPTConfig, OPTModel

from furrow.components.errors import RequestError
from furrow.components.events import Noted, StepEnded
from furrow.components.fine_tuner.pytorch.engine import attention
from furrow.components.fine_tuner.pytorch.engine import compile as compile_module
from furrow.components.fine_tuner.pytorch.engine.compile import LayerCompiler, layers_of
from furrow.components.fine_tuner.pytorch.engine.dropout import RowDropout, RowSeeds
from furrow.components.fine_tuner.pytorch.engine.fused import fuse
from furrow.components.fine_tuner.pytorch.engine.layout import Span, flat
from furrow.components.records import Example


class Layer:
    """Remembers whether it is compiled, as torch's modules do."""

    _compiled_call_impl = None

    def compile(self, **settings):
        self._compiled_call_impl = settings


def step(number, seconds):
    return StepEnded(
        step=number,
        epoch=0.0,
        loss=1.0,
        learning_rate=1e-4,
        grad_norm=1.0,
        learned_tokens=50,
        total_tokens=100,
        seconds=seconds,
    )


def run(compiler, seconds, first=1):
    for number, one in enumerate(seconds, first):
        compiler.emit(step(number, one))
    return [layer._compiled_call_impl is not None for layer in compiler.layers]


@pytest.fixture
def compiler():
    seen = []
    made = LayerCompiler([Layer(), Layer()], None, 10_000, seen.append, backend="eager")
    made.seen = seen
    with torch._dynamo.config.patch(suppress_errors=False):  # puts back what the compiler sets
        yield made


def notes(compiler):
    return [event.message for event in compiler.seen if isinstance(event, Noted)]


def test_a_long_run_is_compiled_after_its_first_steps(compiler):
    assert run(compiler, [9, 1, 1, 1]) == [False, False]
    assert run(compiler, [1], first=5) == [True, True]
    assert len([event for event in compiler.seen if isinstance(event, StepEnded)]) == 5
    assert notes(compiler) == ["167 minutes of training are left: its layers are compiled"]


def test_a_short_run_is_not(compiler):
    compiler.total_steps = 1000  # 995 s are left: a tenth of it is less than compiling takes
    assert run(compiler, [1] * 50) == [False, False] and not notes(compiler)


def test_what_did_not_help_is_taken_back(compiler):
    run(compiler, [1] * 5)
    assert run(compiler, [60, 1, 1.1, 1, 1], first=6) == [False, False]
    assert notes(compiler)[1:] == ["compiled layers were no quicker; the run goes on without"]
    assert not torch._dynamo.config.suppress_errors
    assert run(compiler, [1] * 20, first=11) == [False, False] and not compiler._watched


def test_what_was_fused_is_fused_again_where_compiling_did_not_help(compiler):
    sizes = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(**sizes, num_hidden_layers=1, bos_token_id=1, eos_token_id=2))
    compiler.fused = fuse(model)
    before = dict(compiler.fused.counts)
    run(compiler, [1] * 5)
    assert not compiler.fused.counts and "forward" not in model.model.norm.__dict__
    run(compiler, [60, 1, 1.1, 1, 1], first=6)
    assert dict(compiler.fused.counts) == before and "forward" in model.model.norm.__dict__


def test_layers_are_found_a_step_further_in_and_a_model_without_any_is_refused(compiler):
    sizes = {"vocab_size": 40, "hidden_size": 16, "ffn_dim": 8, "num_attention_heads": 2, "word_embed_proj_dim": 16}
    model = OPTModel(OPTConfig(**sizes, num_hidden_layers=3))
    assert list(layers_of(model)) == list(model.decoder.layers)
    compiler.asked, compiler.layers = True, layers_of(torch.nn.Linear(2, 2))
    with pytest.raises(RequestError, match="no list of layers"):
        compiler.begin()
    compiler.asked = None
    assert run(compiler, [1] * 6) == [] and not notes(compiler)


def test_what_cannot_be_compiled_is_an_error_where_compiling_was_asked_for(compiler):
    run(compiler, [1] * 5)
    assert torch._dynamo.config.suppress_errors
    compiler.asked = True
    compiler.begin()
    assert not torch._dynamo.config.suppress_errors


def test_what_helped_stays(compiler):
    run(compiler, [1] * 5)
    assert run(compiler, [60, 0.8, 0.9, 0.8, 0.8], first=6) == [True, True]


def test_false_never_compiles_and_true_does_at_once(compiler):
    compiler.asked = False
    compiler.begin()
    assert run(compiler, [1] * 5) == [False, False]
    compiler.asked = True
    compiler.begin()
    assert [layer._compiled_call_impl for layer in compiler.layers] == [{"dynamic": True, "backend": "eager"}] * 2


def test_true_is_refused_where_there_is_no_compiler(compiler, monkeypatch):
    monkeypatch.setattr(compile_module.shutil, "which", lambda name: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    compiler.asked, compiler.backend = True, "inductor"
    with pytest.raises(RequestError, match=r"C\+\+ compiler"):
        compiler.begin()


def test_masks_of_other_rows_are_no_other_graph():
    seeds, graphs = RowSeeds(), []
    module = RowDropout(0.5, seeds, 0).train()
    layer = torch.nn.Sequential(torch.nn.Linear(8, 8), module, torch.nn.Linear(8, 8))
    layouts = [flat([(Example([1] * length, [True] * length, ""),) for length in lengths], torch.device("cpu"))
               for lengths in ([3, 4], [2, 2, 5], [6], [1, 2, 3, 4])]  # fmt: skip

    def outcomes():
        for layout in layouts:
            seeds.lay(layout)
            yield layer(torch.ones(*layout.input_ids.shape, 8))

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    expected = list(outcomes())
    LayerCompiler([layer], True, 10, lambda event: None, backend=backend).begin()
    torch.testing.assert_close(list(outcomes()), expected)
    assert 0 < len(graphs) <= 2  # what is before the mask and what is after it
    torch._dynamo.reset()


def test_compiled_layers_compute_rows_beside_one_another_and_new_spans_are_no_new_graph():
    torch.manual_seed(0)
    sizes = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(**sizes, num_hidden_layers=1, bos_token_id=1, eos_token_id=2))
    attention.use(model)
    cases = [(Span(0, 4), Span(4, 10)), (Span(0, 3), Span(3, 5), Span(5, 12)), (Span(0, 2), Span(2, 9, 0, 2))]

    def outcomes():
        for spans in cases:
            tokens = spans[-1].end
            positions = [place for span in spans for place in range(span.end - span.start)]
            out = model.model(
                input_ids=torch.arange(3, 3 + tokens)[None],
                position_ids=torch.tensor([positions]),
                use_cache=False,
                furrow_spans=spans,
            )
            yield out.last_hidden_state

    expected = list(outcomes())
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    fused = fuse(model)
    LayerCompiler(model.model.layers, True, 10, lambda event: None, fused, backend).begin()
    found = list(outcomes())
    assert not fused.counts
    torch.testing.assert_close(found, expected)
    count = len(graphs)
    list(outcomes())
    assert 0 < count == len(graphs) <= 6
    torch._dynamo.reset()
