"""`extends`: a strategy that begins with the keys of another one."""

from __future__ import annotations

import pytest

from furrow.strategies.errors import StrategyErrors
from furrow.strategies.files import load_all


def test_a_child_has_its_parents_keys_and_its_own_win(load_text):
    strategy = load_text("""
        child: {extends: parent, method: {r: 8}, training_args: {learning_rate: 1e-3}}
        parent:
          name: Parent
          method: {type: lora, r: 4, dropout: 0.2, target_modules: [a, b, c]}
          training_args: {max_steps: 7}
          dataset: {train_file: rows.jsonl}
    """).strategy
    config = strategy.fine_tuner.config
    assert (strategy.key, strategy.title, strategy.dataset.train_file) == ("child", "Parent", "rows.jsonl")
    assert (config.method.r, config.method.dropout, config.training_args.max_steps) == (8, 0.2, 7)
    assert config.training_args.learning_rate == 1e-3
    assert str(strategy.output_dir) == "fine_tuned_models/child"


def test_settings_of_another_type_are_not_inherited(load_text):
    strategy = load_text("""
        child: {extends: parent, method: {type: full}, components: {model_app: {type: llama_cpp}}}
        parent:
          method: {type: lora, r: 4}
          components: {model_app: {type: transformers, config: {adapter: false}}}
          training_args: {max_steps: 7}
    """).strategy
    config = strategy.fine_tuner.config
    assert (config.method.type, config.training_args.max_steps) == ("full", 7)
    assert strategy.model_app.type == "llama_cpp"


def test_a_base_model_of_ones_own_replaces_the_inherited_one(load_text):
    strategy = load_text("child: {extends: demo_minimal, base_model: {huggingface_id: a/b}}").strategy
    assert (strategy.fine_tuner.config.base_model.huggingface_id, strategy.fine_tuner.config.base_model.builtin) == (
        "a/b",
        None,
    )


def test_a_list_replaces_the_inherited_list(load_text):
    strategy = load_text("""
        child: {extends: parent, method: {target_modules: [z]}}
        parent: {method: {target_modules: [a, b, c]}}
    """).strategy
    assert strategy.fine_tuner.config.method.target_modules == ("z",)


def test_a_key_with_nothing_after_it_goes_back_to_its_default(load_text):
    strategy = load_text("""
        child: {extends: parent, dataset: {eval_file: }, training_args: }
        parent: {dataset: {train_file: t.jsonl, eval_file: e.jsonl}, training_args: {max_steps: 7}}
    """).strategy
    assert (strategy.dataset.train_file, strategy.dataset.eval_file) == ("t.jsonl", None)
    assert strategy.fine_tuner.config.training_args.max_steps == -1


def test_a_moved_key_of_the_child_overrules_the_parents(load_text, said):
    loaded = load_text("""
        child: {extends: parent, training_args: {temperature: 0.5, eval_split: 0.2}}
        parent: {generation: {temperature: 0.9}, dataset: {eval_split: 0.1}}
    """)
    assert (loaded.strategy.generation.temperature, loaded.strategy.dataset.eval_split) == (0.5, 0.2)
    assert not any(message.startswith("warning") for message in said(loaded))


def test_grandparents_count_and_shipped_strategies_can_be_parents(load_text):
    strategy = load_text("""
        a: {extends: b, name: A}
        b: {extends: demo_production, training_args: {max_steps: 3}}
    """).strategy
    arguments = strategy.fine_tuner.config.training_args
    assert (strategy.title, arguments.max_steps, arguments.eval_steps) == ("A", 3, 50)


def test_two_children_inherit_the_same_from_one_parent(write):
    path = write("""
        parent: {training_args: {temperature: 0.5, max_steps: 3}}
        first: {extends: parent}
        second: {extends: parent}
    """)
    found = [loaded.strategy for loaded in load_all(path)]
    assert [strategy.generation.temperature for strategy in found] == [0.5, 0.5, 0.5]
    assert [strategy.fine_tuner.config.training_args.max_steps for strategy in found] == [3, 3, 3]


def test_the_same_name_means_the_shipped_one(load_text):
    strategy = load_text("demo_minimal: {extends: demo_minimal, method: {r: 2}}").strategy
    assert strategy.fine_tuner.config.method.r == 2
    assert strategy.fine_tuner.config.training_args.num_train_epochs == 1


def test_an_inherited_mistake_is_blamed_where_it_was_written(problems):
    found = problems("""
        child: {extends: parent}
        parent:
          method:
            rank: 4
    """)
    assert found == ["s.yaml:4: method.rank: is not known; did you mean 'r'? see `strategies schema` for all keys"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: {extends: b}\nb: {extends: c}\nc: {extends: a}\n", "goes round in a circle: a -> b -> c -> a"),
        ("a: {extends: a}\n", "goes round in a circle: a -> a"),
        ("a: {extends: demo_minimul}\n", "there is no strategy 'demo_minimul'; did you mean 'demo_minimal'?"),
        ("a: {extends: [b]}\nb: {}\n", "the name of a strategy is wanted"),
    ],
)
def test_what_cannot_be_extended_is_refused_in_its_line(text, what, problems):
    [problem] = problems(text)
    assert problem.startswith("s.yaml:")
    assert ": extends: " in problem
    assert what in problem


def test_a_format_takes_the_place_of_an_inherited_template_of_another_type(load_text):
    text = """
        child: {extends: parent, prompt_template: {format: "Q: {input} A: {output}"}}
        parent: {prompt_template: {type: chatml, system: Be brief.}}
    """
    template = load_text(text).strategy.prompt_template
    assert (template.type, template.config.format) == ("format", "Q: {input} A: {output}")
    changed = load_text(text, ["prompt_template.format={input} > {output}"]).strategy.prompt_template
    assert (changed.type, changed.config.format) == ("format", "{input} > {output}")


def test_a_problem_of_several_strategies_names_them(write):
    path = write("""
        whole: {}
        wrong: {export: {to_gguff: true}}
        heir: {extends: wrong, generation: {top_q: 1}}
    """)
    with pytest.raises(StrategyErrors) as refused:
        load_all(path)
    first, second = str(refused.value).splitlines()
    assert first.startswith("s.yaml:2: strategy wrong, heir: export.to_gguff: is not known")
    assert second.startswith("s.yaml:3: strategy heir: generation.top_q: is not known")
