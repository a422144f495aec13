"""What a strategy is: typed, complete, every component chosen. Knows nothing about files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, field_validator
from pydantic.json_schema import SkipJsonSchema

from furrow.components.config import Config, Free
from furrow.components.errors import did_you_mean
from furrow.components.generation import GenerationConfig
from furrow.components.layouts import Layout
from furrow.components.registry import find
from furrow.strategies.quality_rules import QualityConfig
from furrow.strategies.wiring import OfSlot, Wired

__all__ = [
    "DatasetConfig",
    "ExportConfig",
    "MonitoringConfig",
    "PreprocessingConfig",
    "SamplesConfig",
    "Strategy",
    "Wired",
]

FINE_TUNER = OfSlot("fine_tuner", default="pytorch")
MODEL_APP = OfSlot("model_app", default="transformers")
READER = OfSlot("dataset_reader", flat=True)
SPLITTER = OfSlot("dataset_splitter", flat=True, default="random")
TRACKER = OfSlot("tracker", flat=True)
AUGMENTATION = OfSlot("augmentation", flat=True)
TEMPLATE = OfSlot("prompt_template", flat=True, default="chat", type_by_key=(("format", "format"),))

Tokens = Annotated[int, Field(ge=1)]
_COMPARED = Free("the rows are compared, wherever they lie")


def _stop_is_fail(action: Any) -> Any:
    if action not in ("stop", "skip", "fail"):
        hint = "; `warn` is a word of dataset.on_faulty_data" if action == "warn" else ""
        raise ValueError(f"got {action!r}; {did_you_mean(str(action), ('stop', 'fail', 'skip'))}{hint}")
    return "stop" if action == "fail" else action


OnBadRow = Annotated[
    Literal["stop", "skip"],
    BeforeValidator(_stop_is_fail, json_schema_input_type=Literal["stop", "skip", "fail"]),
]


class ComponentsConfig(Config):
    """Which component does the tuning, and which one answers."""

    fine_tuner: Annotated[Wired, FINE_TUNER] = Field(default_factory=lambda: FINE_TUNER.wire({}))
    """What makes the model: `{type, config}`. Default: pytorch."""
    model_app: Annotated[Wired, MODEL_APP, Free("the model answers when it is trained")] = Field(
        default_factory=lambda: MODEL_APP.wire({})
    )
    """What answers with it: `{type, config}`. Default: transformers."""


LayoutName = Literal["auto", Layout]
ColumnMeaning = Literal[
    "text",
    "system",
    "instruction",
    "input",
    "context",
    "prompt",
    "completion",
    "messages",
    "conversations",
    "tools",
    "chosen",
    "rejected",
    "label",
]


def _each_once(columns: dict[str, str]) -> dict[str, str]:
    meant: dict[str, str] = {}
    for meaning, column in columns.items():
        if column in meant:
            raise ValueError(f"{column!r} is {meant[column]} and {meaning}: a column has one meaning")
        meant[column] = meaning
    return columns


Columns = Annotated[dict[ColumnMeaning, Annotated[str, Field(min_length=1)]], AfterValidator(_each_once)]


class MixSource(Config):
    """One of several sets that are learned together."""

    file: Annotated[str, Field(min_length=1)]
    """As train_file."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Its share of the rows that are learned, against the weights of the others."""
    format: LayoutName = "auto"
    """As dataset.format."""
    columns: Columns = Field(default_factory=dict)
    """As dataset.columns."""
    reader: Annotated[Wired, READER] | None = None
    """As dataset.reader."""
    template: Annotated[Wired, TEMPLATE] | None = None
    """How its rows become text. Default: prompt_template, which is also what the trained model is served with."""
    prefix: str = ""
    """Put before the question of each of its rows, as it stands: `"summarize: "` tells tasks apart."""
    eval_split: Annotated[float | None, Field(ge=0, le=0.5)] = None
    """As dataset.eval_split, for its rows; 0: none of them is measured on. Default: dataset.eval_split."""
    splitter: Annotated[Wired, SPLITTER] | None = None
    """As dataset.splitter, for its rows. Default: dataset.splitter."""


class DatasetConfig(Config):
    """Where the rows come from. Relative paths are relative to the folder in which the command runs."""

    train_file: Annotated[str | None, _COMPARED] = None
    """Rows to learn: a file (.jsonl, .json, .csv, .tsv, .parquet, .txt, .md; also with .gz or .zst behind it), a folder
    of texts, or, with `reader: datasets`, a dataset of the hub. Default: what `--train-dataset` names."""
    eval_file: Annotated[str | None, _COMPARED] = None
    """Rows to measure on, never learned. Default: what `--eval-dataset` names."""
    format: Annotated[LayoutName, _COMPARED] = "auto"
    """Layout of the rows. `auto` recognises it by the columns, says which it is, and names rows that have another; any
    other name makes rows without that layout bad ones (`on_bad_row`)."""
    columns: Annotated[Columns, _COMPARED] = Field(default_factory=dict)
    """What the file calls its columns, where that is none of the usual names: meaning -> column, e.g.
    {prompt: question_text, completion: best_answer}."""
    mix: Annotated[tuple[MixSource, ...], Field(max_length=64)] = ()
    """Several sets instead of one train_file, drawn by weight."""
    stopping_strategy: Literal["first_exhausted", "all_exhausted"] = "first_exhausted"
    """Of `mix`: an epoch ends when the first set has given all its rows (no row twice; the others give fewer than they
    have), or when every set has (the smaller ones begin anew)."""
    eval_split: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Share of train_file that is kept for measuring where there is no eval_file; 0.1 is usual. Default: 0.1 where
    `eval_strategy` asks for evaluations and there is no eval_file, else 0."""
    reader: Annotated[Annotated[Wired, READER] | None, _COMPARED] = None
    """What reads the files: `{type, …}`. Default: by the file's ending."""
    on_bad_row: Annotated[OnBadRow, Free("the rows that are left are compared")] = "stop"
    """What to do about a row that cannot be used (broken JSON, a missing or empty column, an unknown role): `stop` (or
    `fail`) ends the run and names it, and up to five that cannot be read; `skip` sets it aside into bad_rows.jsonl in
    the run folder and goes on, if at most half of the rows are bad. What is wrong with a whole file (its format, its
    encoding; a line of JSON lines that is not UTF-8 is a bad row, unless it is the first) ends the run anyway."""
    splitter: Annotated[Wired, SPLITTER] = Field(default_factory=lambda: SPLITTER.wire({}))
    """What splits train_file (each set of a mix by itself) by eval_split: `{type, …}`. Default: random."""
    augmentation: Annotated[tuple[Annotated[Wired, AUGMENTATION], ...], Field(max_length=16)] = ()
    """Rows made of training rows, in other words: `[{type, …}]`. They are learned beside the rows that they are made
    of, are none of those that are measured on, and are left out where they say what another row says."""
    on_faulty_data: Annotated[Literal["stop", "warn"], Free("the rows are compared")] = "stop"
    """What to do about data that cannot be meant: more than 1 % of the evaluation rows learned too, more than 20 % of
    the answers cut, or no token to learn. `stop` ends the run before the first step, `warn` says it and goes on."""
    cache_dir: Annotated[str | None, Free("what is prepared is the same")] = None
    """Where prepared data is kept, so that the next run with the same files and settings begins at once. Default:
    furrow in the user's cache folder."""
    cache_gb: Annotated[float, Field(ge=0), Free("what is prepared is the same")] = 20.0
    """GB that the cache may have: the entries used longest ago are removed first; 0 keeps nothing."""

    @property
    def is_split(self) -> bool:
        """Whether rows to learn are kept for measuring: by eval_split, or by a splitter that has a share of its own."""
        return self.eval_file is None and any(
            share > 0 or getattr(splitter.config, "own_share", False) for splitter, share in self.splits()
        )

    def splits(self) -> list[tuple[Wired, float]]:
        """The splitter and the share to measure on, of each set of the mix; of the one set where there is no mix."""
        return [
            (
                source.splitter or self.splitter,
                self.eval_split if source.eval_split is None else source.eval_split,
            )
            for source in self.mix
        ] or [(self.splitter, self.eval_split)]


class PreprocessingConfig(Config):
    """What happens to rows before they are learned. Whatever is dropped or cut is counted and said."""

    max_length: Tokens | None = None
    """Most tokens of one example; what becomes of a longer one is `truncation`. Default: what the model can take, at
    most 2,048."""
    max_input_length: Tokens | None = None
    """Most tokens of the prompt; of a longer one the end stays. Default: as max_length allows."""
    max_output_length: Tokens | None = None
    """Most tokens of the answer; of a longer one the beginning stays, and the end token. Default: as max_length
    allows."""
    truncation: Literal["cut_prompt", "cut_turns", "drop", "cut_answer"] = "cut_prompt"
    """What is cut of an example that is longer than max_length. `cut_prompt`: the beginning of all that stands before
    the last answer (its first token stays, and the system message where the template hands it over by itself; of an
    earlier answer whose beginning is cut, nothing is learned). `cut_turns`: whole turns of a conversation from the
    first one on; the system message stays. `drop`: nothing, the row is dropped. `cut_answer`: the end of it all; an
    answer that is cut keeps its end token, which is never cut. A row that is too long even so is dropped and named.
    Plain text (`pretrain`) becomes several examples instead; a classifier's text is cut as its objective says."""
    learned_turns: Literal["all", "last"] = "all"
    """Which answers of a conversation are learned; a message with `weight: 0` (or `train: false`) is learned in no
    case."""
    remove_duplicates: bool | Literal["exact", "near"] = False
    """Drop rows that say the same as an earlier one: `exact` (or true) equal ones, `near` also those that share most of
    their text (MinHash, each pair verified; rows that differ in a number or a class stay)."""
    duplicate_similarity: Annotated[float, Field(ge=0.5, le=1)] = 0.8
    """From which share of common groups of five characters (Jaccard) on two rows are near duplicates. Default: 0.8: of
    a row of 25 words, one may be another."""
    unicode_normalization: Literal["NFC", "NFKC"] | None = None
    """Normalise all text before anything else; null leaves it as it is written."""
    filter_quality: bool | QualityConfig = False
    """Drop rows that are broken: an empty question or answer, garbled text, endless repetition. true is all rules as
    they are by default; a mapping sets some of them."""
    shuffle: bool = True
    """Learn the rows in a new random order every epoch; false keeps the order of the file."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    """Seed of that order. Default: training_args.seed."""


def quantizations() -> tuple[str, ...]:
    """The number types that the exporter `gguf` writes; it alone knows them."""
    return get_args(find("exporter", "gguf").config.model_fields["quantization"].annotation)


def _list_quantizations(schema: dict[str, Any]) -> None:
    schema["enum"] = list(quantizations())


class ExportConfig(Config):
    """What is made of the model after training."""

    to_merged: bool = False
    """One folder of whole weights (safetensors), the adapter added to its base."""
    to_gguf: bool = False
    """One GGUF file for llama.cpp."""
    to_gguf_adapter: bool = False
    """The LoRA adapter alone as a GGUF file."""
    to_ollama: bool = False
    """GGUF and Modelfile, registered where an Ollama server answers."""
    quantization: Annotated[str, Field(json_schema_extra=_list_quantizations)] = "q8_0"
    """Number type of the GGUF's weights: f32, f16, bf16, q8_0 or a k-quant such as q4_k_m. Default: q8_0, which answers
    as the model does at half the size of f16."""
    model_name: Annotated[str, Field(min_length=1)] | None = None
    """What the server and the metadata call the model. Default: the name of the strategy."""

    @field_validator("quantization")
    @classmethod
    def _known_to_the_exporter(cls, name: str) -> str:
        allowed = quantizations()
        if name.lower() not in allowed:
            raise ValueError(f"there is no number type {name!r}; {did_you_mean(name, allowed)}")
        return name.lower()


class SamplesConfig(Config):
    """Prompts that the model answers before training and at each evaluation, always the likeliest token."""

    prompts: Annotated[int, Field(ge=0)] | tuple[Annotated[str, Field(min_length=1)], ...] | None = None
    """How many of the first rows of the evaluation data (of the training data where there is none), or questions of
    your own; 0 for none. Default: 3 where evaluations happen, else none."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 48
    """Most tokens of one answer. What it costs: one forward pass a token."""


class MonitoringConfig(Config):
    """What is watched during a training, and where its events go."""

    not_here: ClassVar[Mapping[str, str]] = {
        f"log_{name}": f"name it in the list `trackers: [{name}]`" for name in ("wandb", "mlflow", "comet", "trackio")
    }

    track_training_metrics: bool = True
    """Write metrics.jsonl into the run folder, one event a line."""
    log_tensorboard: bool = False
    """Write TensorBoard files into the run folder; needs the extra `tensorboard`."""
    trackers: Annotated[tuple[Annotated[Wired, TRACKER], ...], Field(max_length=16)] = ()
    """Where the figures go besides: names, or `{type, …}` with settings. wandb, mlflow, comet and trackio need the
    extra of their name. One that fails is warned of, and the run goes on without it."""
    project: Annotated[str, Field(min_length=1)] = "furrow"
    """Under which trackers keep the runs together."""
    run_name: Annotated[str, Field(min_length=1)] | None = None
    """What trackers call the run. Default: the name of the run folder."""
    diagnostics: bool = True
    """Warn, once each, of what looks wrong: overfitting, a flat or jumping loss, a rate that is not as scheduled."""
    samples: SamplesConfig = SamplesConfig()
    """Answers of the model while it learns."""

    @field_validator("trackers")
    @classmethod
    def _one_of_a_type(cls, trackers: tuple[Wired, ...]) -> tuple[Wired, ...]:
        kinds = [tracker.type for tracker in trackers]
        if twice := next((kind for kind in kinds if kinds.count(kind) > 1), None):
            raise ValueError(f"{twice} is named twice, and there is one tracker of a type; leave one out")
        return trackers


class Strategy(Config):
    """One entry of a strategy file, every default filled in."""

    key: SkipJsonSchema[str] = Field(exclude=True)
    """The name under which it stands in its file."""
    name: Annotated[str, Free("it is for people")] = ""
    """Its name for people."""
    description: Annotated[str, Free("it is for people")] = ""
    """What it is for."""
    components: ComponentsConfig = Field(default_factory=ComponentsConfig)
    """The components that do the work."""
    dataset: DatasetConfig = Field(default_factory=DatasetConfig)
    """Where the rows come from."""
    data_preprocessing: PreprocessingConfig = PreprocessingConfig()
    """What happens to rows before they are learned."""
    prompt_template: Annotated[Wired, TEMPLATE] = Field(default_factory=lambda: TEMPLATE.wire({}))
    """How a row becomes text: `{type, …}`. Default: format where the key `format` is given, else chat."""
    generation: Annotated[GenerationConfig, Free("the model answers when it is trained")] = GenerationConfig()
    """How the model answers."""
    export: Annotated[ExportConfig, Free("it is made of the trained model")] = ExportConfig()
    """What is made of the model after training."""
    monitoring: Annotated[MonitoringConfig, Free("watching changes no weight")] = MonitoringConfig()
    """What is watched during a training, and where its events go."""

    @property
    def title(self) -> str:
        """What a person reads: its name, or its key where it has none."""
        return self.name or self.key

    @property
    def fine_tuner(self) -> Wired:
        return self.components.fine_tuner

    @property
    def model_app(self) -> Wired:
        return self.components.model_app

    @property
    def model_name(self) -> str:
        """What exports call the model."""
        return self.export.model_name or self.key

    @property
    def output_dir(self) -> Path:
        """The run folder: `training_args.output_dir`, or `fine_tuned_models/<key>` where the fine-tuner has none."""
        arguments = getattr(self.fine_tuner.config, "training_args", None)
        return Path(getattr(arguments, "output_dir", None) or default_output_dir(self.key)).expanduser()


def default_output_dir(key: str) -> str:
    """Where a strategy trains when it does not say."""
    return f"fine_tuned_models/{key}"
