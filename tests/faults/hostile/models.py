"""Base models and adapters of others: pickles, code of their own, settings and headers that lie."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.hostile._tiny import adapter, base, change, set_up, train, use, use_adapter, use_tokenizer
from tests.faults.hostile.payload import Payload, by_command, code, pickled

NEEDS = ("torch", "transformers", "peft", "furrow.stages.train", "furrow.stages.convert", "furrow.stages.complete",
         "furrow.components.models.loading", "furrow.components.fine_tuner.pytorch.fine_tuner",
         "transformers.models.llama.modeling_llama", "furrow.stages.setup",
         "furrow.components.models.pretrained")  # fmt: skip


def zipped_pickle(marker: Path) -> bytes:
    """What `torch.save` writes today, with a pickle in it that writes the marker."""
    import io
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(marker))
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


def plant(place: Path, marker: Path) -> Path:
    """Python files as a model with code of its own has them."""
    for name in ("modeling_planted.py", "configuration_planted.py", "tokenization_planted.py", "generate.py"):
        (place / name).write_text(code(marker))
    (place / "custom_generate").mkdir()
    (place / "custom_generate" / "generate.py").write_text(code(marker))
    return place


# -- pickles ----------------------------------------------------------------------------------------------------------


def _only_pickled(name: str, use: Callable[[Path, Path], str], make: Callable[[Path], bytes]) -> Payload:
    def attempt(folder: Path, marker: Path) -> str:
        place = base(folder, without="model.safetensors")
        (place / name).write_bytes(make(marker))
        return use(folder, place)

    return Payload(name=f"base with {name} only, {use.__name__}, {make.__name__}", attempt=attempt)


def _load(folder: Path, place: Path) -> str:
    return use(place)


def _pickles_beside_safetensors(folder: Path, marker: Path) -> str:
    place = base(folder)
    for name in ("pytorch_model.bin", "model.pt", "consolidated.00.pth", "optimizer.pt", "scheduler.pt", "vocab.pkl",
                 "rng_state.pth", "training_args.bin", "tokenizer.pkl", "weights.npy", "tf_model.h5"):  # fmt: skip
        (place / name).write_bytes(pickled(marker))
    return train(folder, place)


def _sharded_pickles(folder: Path, marker: Path) -> str:
    place = base(folder, without="model.safetensors")
    (place / "pytorch_model-00001-of-00001.bin").write_bytes(zipped_pickle(marker))
    index = {"metadata": {}, "weight_map": {"model.norm.weight": "pytorch_model-00001-of-00001.bin"}}
    (place / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return use(place)


def _pickle_called_safetensors(make: Callable[[Path], bytes]) -> Callable[[Path, Path], str]:
    def attempt(folder: Path, marker: Path) -> str:
        place = base(folder)
        (place / "model.safetensors").write_bytes(make(marker))
        return use(place)

    return attempt


def _adapter_only_pickled(folder: Path, marker: Path) -> str:
    place = adapter(folder, without="adapter_model.safetensors")
    (place / "adapter_model.bin").write_bytes(zipped_pickle(marker))
    return use_adapter(place)


def _adapter_pickle_beside(folder: Path, marker: Path) -> str:
    place = adapter(folder)
    (place / "adapter_model.bin").write_bytes(pickled(marker))
    return use_adapter(place)


def _sentencepiece(content: Callable[[Path], bytes], name: str) -> Callable[[Path, Path], str]:
    def attempt(folder: Path, marker: Path) -> str:
        place = base(folder, without="tokenizer.json")
        (place / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer"}))
        (place / name).write_bytes(content(marker))
        return use_tokenizer(place)

    return attempt


def _index(target: str) -> Callable[[Path, Path], str]:
    def attempt(folder: Path, marker: Path) -> str:
        place = base(folder, without="model.safetensors")
        (folder / "outside.bin").write_bytes(zipped_pickle(marker))
        (place / "pytorch_model.bin").write_bytes(zipped_pickle(marker))
        (folder / "outside.safetensors").write_bytes(b"")
        index = {"metadata": {}, "weight_map": {"model.norm.weight": target.format(folder=folder)}}
        (place / "model.safetensors.index.json").write_text(json.dumps(index))
        return use(place)

    return attempt


def _index_of(weight_map: Any) -> Callable[[Path, Path], str]:
    def attempt(folder: Path, marker: Path) -> str:
        place = base(folder, without="model.safetensors")
        (place / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
        return use(place)

    return attempt


def _allowed(kind: str, make: Callable[[Path], bytes]) -> Callable[[Path, Path], str]:
    """The operator said --allow-pickle, and it is no pickle of numbers."""

    def attempt(folder: Path, marker: Path) -> str:
        if kind == "base":
            place, name = base(folder, without="model.safetensors"), "pytorch_model.bin"
        else:
            place, name = adapter(folder, without="adapter_model.safetensors"), "adapter_model.bin"
        (place / name).write_bytes(make(marker))
        return by_command("convert", place, folder / "new", "--format", "safetensors", "--allow-pickle")

    return attempt


def _bomb(marker: Path) -> bytes:
    """A megabyte that unpacks to a gigabyte."""
    import io
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        with archive.open("archive/data/0", "w") as record:
            for _ in range(1000):
                record.write(bytes(1 << 20))
    return file.getvalue()


def _claims_more(marker: Path) -> bytes:
    """A tensor of 4 terabytes over a storage of four bytes."""
    import io
    import zipfile

    import torch

    file, changed = io.BytesIO(), io.BytesIO()
    torch.save({"model.norm.weight": torch.zeros(1)}, file)
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(changed, "w") as other:
        for name in archive.namelist():
            content = archive.read(name)
            if name.endswith("data.pkl"):
                content = content.replace(b"K\x01\x85", b"\x8a\x06\x00\x00\x00\x00\x00\x01\x85")
            other.writestr(name, content)
    return changed.getvalue()


# -- code of their own ------------------------------------------------------------------------------------------------


def _config(name: str, **settings: Any) -> Payload:
    def attempt(folder: Path, marker: Path) -> str:
        return use(plant(base(folder, **settings), marker))

    return Payload(name=f"config.json: {name}", attempt=attempt)


def _beside(file: str, name: str, **settings: Any) -> Payload:
    def attempt(folder: Path, marker: Path) -> str:
        return use(change(plant(base(folder), marker), file, **settings))

    return Payload(name=f"{file}: {name}", attempt=attempt)


def _adapter_config(name: str, **settings: Any) -> Payload:
    def attempt(folder: Path, marker: Path) -> str:
        (folder / "planted_megatron.py").write_text(code(marker))
        return use_adapter(adapter(folder, **settings))

    return Payload(name=f"adapter_config.json: {name}", attempt=attempt)


def _embedded(name: str, pickle: bool = False, **settings: Any) -> Payload:
    """An adapter beside the weights of a base: transformers loads it unasked."""

    def attempt(folder: Path, marker: Path) -> str:
        place, beside = base(folder), adapter(folder, without="adapter_model.safetensors" if pickle else "")
        (folder / "planted_megatron.py").write_text(code(marker))
        change(place, "adapter_config.json", **json.loads((beside / "adapter_config.json").read_text()) | settings)
        if pickle:
            (place / "adapter_model.bin").write_bytes(zipped_pickle(marker))
        else:
            (beside / "adapter_model.safetensors").rename(place / "adapter_model.safetensors")
        return use(place)

    return Payload(name=f"adapter in the base's folder: {name}", attempt=attempt, because="lies beside the weights")


def _named_by_config(target: str) -> Payload:
    """config.json says in which file the weights are."""

    def attempt(folder: Path, marker: Path) -> str:
        place = base(folder, transformers_weights=target)
        (place / target).parent.mkdir(exist_ok=True)
        (place / target).write_bytes(zipped_pickle(marker))
        return use(place)

    return Payload(name=f"config.json: weights in {target}", attempt=attempt, because="names another file of weights")


def _distributed(folder: Path, marker: Path) -> str:
    place = base(folder)
    (place / "shard-00001-model-00001-of-00001.safetensors").write_bytes((place / "model.safetensors").read_bytes())
    (place / ".metadata").write_bytes(pickled(marker))
    return use(place)


def _adapter_on_code(folder: Path, marker: Path) -> str:
    place = adapter(folder)
    plant(folder / "base", marker)
    change(folder / "base", "config.json", auto_map={"AutoConfig": "configuration_planted.Planted"})
    return use_adapter(place)


def _adapter_beside(file: str, name: str, settings: dict[str, Any]) -> Payload:
    return Payload(
        name=f"adapter's {file}: {name}",
        attempt=lambda folder, marker: use_adapter(change(adapter(folder), file, **settings)),
    )


def _by_setup(folder: Path, marker: Path) -> str:
    return set_up(folder, plant(base(folder, auto_map={"AutoConfig": "configuration_planted.Planted"}), marker))


def _by_train(folder: Path, marker: Path) -> str:
    place = plant(base(folder), marker)
    change(place, "tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenization_planted.Planted", None]})
    return train(folder, place)


def _by_convert(folder: Path, marker: Path) -> str:
    place = plant(base(folder, auto_map={"AutoModelForCausalLM": "modeling_planted.Planted"}), marker)
    change(place, "tokenizer_config.json", chat_template="{{ messages[0].content }}")
    return by_command("convert", place, folder / "new", "--format", "merged")


_MAP = {"AutoConfig": "configuration_planted.Planted", "AutoModelForCausalLM": "modeling_planted.Planted"}


# -- headers ----------------------------------------------------------------------------------------------------------


def _weights(name: str, make: Callable[[], bytes]) -> Payload:
    def attempt(folder: Path, marker: Path) -> str:
        place = base(folder)
        (place / "model.safetensors").write_bytes(make())
        return use(place)

    return Payload(name=f"safetensors: {name}", attempt=attempt, bytes=600 << 20)


def _header(tensors: Any, room: int = 0, length: int | None = None) -> Callable[[], bytes]:
    text = tensors if isinstance(tensors, bytes) else json.dumps(tensors).encode()
    return lambda: struct.pack("<Q", len(text) if length is None else length) + text + bytes(room)


def _tensor(first: Any, last: Any, shape: Any = (2,), dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


def _sparse(folder: Path, marker: Path) -> str:
    """A header of 100 MB: blanks, in a file without a byte on the disk."""
    place = base(folder)
    with (place / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", 100_000_000))
        file.truncate(200_000_000)
    return use(place)


# -- sizes ------------------------------------------------------------------------------------------------------------


def _random(**settings: Any) -> Callable[[Path, Path], str]:
    def attempt(folder: Path, marker: Path) -> str:
        import torch

        from furrow.components.base_models import BaseModelConfig
        from furrow.components.fine_tuner.pytorch.model.load import load_base

        place = base(folder, **settings)
        model = load_base(BaseModelConfig(path=str(place), init="random"), torch.float32)
        return f"{sum(parameter.numel() for parameter in model.parameters())} fresh numbers"

    return attempt


def _text(name: str, content: str | bytes, file: str = "config.json") -> Payload:
    def attempt(folder: Path, marker: Path) -> str:
        place = base(folder)
        (place / file).write_bytes(content.encode() if isinstance(content, str) else content)
        return use(place)

    return Payload(name=f"{file}: {name}", attempt=attempt)


def _hub(folder: Path, marker: Path) -> str:
    return use_adapter(adapter(folder, base_model_name_or_path="someone/planted"))


PAYLOADS = (
    *(
        _only_pickled(name, how, make)
        for name in ("pytorch_model.bin", "model.pt")
        for how in (_load, set_up, train)
        for make in (pickled, zipped_pickle)
    ),
    Payload(name="pickles beside safetensors", attempt=_pickles_beside_safetensors),
    Payload(name="sharded pickles", attempt=_sharded_pickles),
    Payload(name="model.safetensors is a pickle", attempt=_pickle_called_safetensors(pickled)),
    Payload(name="model.safetensors is a pickle of torch", attempt=_pickle_called_safetensors(zipped_pickle)),
    Payload(name="adapter_model.bin only", attempt=_adapter_only_pickled),
    Payload(name="adapter_model.bin beside safetensors", attempt=_adapter_pickle_beside),
    Payload(name="tokenizer.model is a pickle", attempt=_sentencepiece(pickled, "tokenizer.model")),
    Payload(name="tokenizer.model is noise", attempt=_sentencepiece(lambda _: b"\x0a\xff" * 99, "tokenizer.model")),
    Payload(name="vocab.json is a pickle", attempt=_sentencepiece(pickled, "vocab.json")),
    Payload(name="index names a pickle", attempt=_index("pytorch_model.bin")),
    Payload(name="index names a pickle outside", attempt=_index("../outside.bin")),
    Payload(name="index names safetensors outside", attempt=_index("../outside.safetensors")),
    Payload(name="index names an absolute path", attempt=_index("{folder}/outside.safetensors")),
    Payload(name="index names a device", attempt=_index("/dev/zero")),
    Payload(name="index without a map", attempt=_index_of(None)),
    Payload(name="index with a list", attempt=_index_of(["model.safetensors"])),
    Payload(name="index with numbers", attempt=_index_of({"model.norm.weight": 5})),
    Payload(name="allowed pickle with a command", attempt=_allowed("base", zipped_pickle)),
    Payload(name="allowed pickle of the old form", attempt=_allowed("base", pickled)),
    Payload(name="allowed pickle of an adapter", attempt=_allowed("adapter", zipped_pickle)),
    Payload(name="allowed pickle that unpacks to a gigabyte", attempt=_allowed("base", _bomb), quick=False),
    Payload(name="allowed pickle that claims 4 TB", attempt=_allowed("base", _claims_more)),
    _config("auto_map", auto_map=_MAP),
    _config("auto_map of another repository", auto_map={"AutoConfig": "someone/planted--configuration.Planted"}),
    _config("auto_map below text_config", text_config={"auto_map": _MAP}),
    _config("unknown type with auto_map", model_type="planted", auto_map=_MAP),
    _config("unknown type", model_type="planted", architectures=["PlantedForCausalLM"]),
    _config("type that is a path", model_type="../planted"),
    _config("type that is a list", model_type=["llama"]),
    _config("trust_remote_code", trust_remote_code=True),
    _config("attention of the hub", attn_implementation="someone/planted"),
    _config("attention of the hub, inside", _attn_implementation="someone/planted:planted"),
    _config("experts of the hub", experts_implementation={"": "someone/planted"}),
    _config("use_kernels", use_kernels=True, kernel_config={"planted": "someone/planted"}),
    _config("quantised by planted", quantization_config={"quant_method": "planted"}),
    _config("quantised by gptq", quantization_config={"quant_method": "gptq", "bits": 4}),
    _config("quantised by fp8", quantization_config={"quant_method": "fp8"}),
    _config("quantised by a text", quantization_config="planted"),
    _config("quantised by a list", quantization_config=["planted"]),
    _config("a method hidden by a number", to_dict=1, get_text_config=2),
    _config("a class hidden", **{"__class__": "planted", "__dict__": {}, "__init__": 3}),
    _config("the tokenizer's class", tokenizer_class="PlantedTokenizer"),
    _beside("tokenizer_config.json", "auto_map", auto_map={"AutoTokenizer": ["tokenization_planted.Planted", None]}),
    _beside("tokenizer_config.json", "auto_map, a list", auto_map=["tokenization_planted.Planted", None]),
    _beside("tokenizer_config.json", "planted class", tokenizer_class="PlantedTokenizer"),
    _beside("tokenizer_config.json", "class that is a path", tokenizer_class="../tokenization_planted.Planted"),
    _beside("tokenizer_config.json", "class that is an object", tokenizer_class={"planted": 1}),
    _beside("tokenizer_config.json", "files elsewhere", tokenizer_file="/dev/zero", vocab_file="/etc/passwd"),
    _beside("tokenizer_config.json", "trust_remote_code", trust_remote_code=True),
    _beside("tokenizer_config.json", "odd tokens", eos_token={"a": {"b": []}}, added_tokens_decoder={"x": "y"}),
    _beside("tokenizer_config.json", "id of a token", added_tokens_decoder={"999999999": {"content": "planted"}}),
    _beside("tokenizer_config.json", "length", model_max_length=-5),
    _beside("tokenizer_config.json", "chat_template that is a number", chat_template=5),
    _beside("tokenizer_config.json", "chat templates that are numbers", chat_template=[1, {"name": 2}]),
    _beside("processor_config.json", "auto_map", auto_map={"AutoProcessor": "modeling_planted.Planted"}),
    _beside("preprocessor_config.json", "auto_map", auto_map={"AutoImageProcessor": "modeling_planted.Planted"}),
    _beside("generation_config.json", "custom_generate", custom_generate="custom_generate/generate.py"),
    _beside("generation_config.json", "numbers that are texts", max_new_tokens="planted", eos_token_id={"a": 1}),
    _beside("special_tokens_map.json", "nested", eos_token=[[["planted"]]]),
    _beside("added_tokens.json", "huge id", planted=10**12),
    Payload(name="setup of a base with code", attempt=_by_setup),
    Payload(name="train of a tokenizer with code", attempt=_by_train),
    Payload(name="convert of a base with code", attempt=_by_convert),
    Payload(name="code beside, asked for by nothing", attempt=lambda folder, marker: use(plant(base(folder), marker))),
    _adapter_config("megatron", megatron_config={"a": 1}, megatron_core="planted_megatron"),
    _adapter_config("auto_mapping", auto_mapping={"base_model_class": "x", "parent_library": "planted_megatron"}),
    _adapter_config("tokenizer_kwargs", tokenizer_kwargs={"trust_remote_code": True}, peft_type="PROMPT_TUNING"),
    _adapter_config("xlora", peft_type="XLORA", adapters={"planted": "someone/planted"}),
    _adapter_config("multitask", peft_type="MULTITASK_PROMPT_TUNING", prompt_tuning_init_state_dict_path="planted.bin"),
    _adapter_config("arrow", arrow_config={"top_k": 1}, use_bdlora={"a": 1}),
    _adapter_config("corda", init_lora_weights="corda", corda_config={"cache_file": "planted.bin"}),
    _adapter_config("eva", init_lora_weights="eva", eva_config={"rho": 10**9}),
    _adapter_config("unknown kind", peft_type="PLANTED"),
    _adapter_config("no kind", peft_type=None),
    _adapter_config("unknown key", planted={"a": "b"}),
    _adapter_config("rank", r=10**9),
    _adapter_config("rank 0", r=0),
    _adapter_config("rank that is a text", r="planted"),
    _adapter_config("rank pattern", rank_pattern={"q_proj": 10**9}),
    _adapter_config("pattern without end", target_modules="((.|.)*)*!"),
    _adapter_config("pattern of many stars", target_modules=".*" * 30 + "!"),
    _adapter_config("rank pattern without end", rank_pattern={"(a|a)*(.|.)*b": 2}),
    _adapter_config("pattern in a list", modules_to_save=["([a-z_.0-9]+)+!"]),
    _adapter_config("pattern of alternatives", target_modules=r"(?:\w|\w\w)" * 40 + "!"),
    _embedded("plain"),
    _embedded("pattern without end", target_modules="([a-z_.0-9]+)+!"),
    _embedded("pickle", pickle=True),
    _embedded("xlora", peft_type="XLORA"),
    _embedded("megatron", megatron_config={"a": 1}, megatron_core="planted_megatron"),
    _named_by_config("adapter_model.bin"),
    _named_by_config("sub/x.safetensors"),
    Payload(name="distributed checkpoint", attempt=_distributed, because="distributed checkpoint"),
    _adapter_config("broken pattern", target_modules="(((("),
    _adapter_config("layers again", layer_replication=[[0, 1]] * 1_000_000),
    _adapter_config("virtual tokens", peft_type="PREFIX_TUNING", num_virtual_tokens=10**9, num_layers=2, token_dim=16),
    _adapter_config("base elsewhere", base_model_name_or_path="/etc"),
    _adapter_config("base that is a list", base_model_name_or_path=["planted"]),
    _adapter_config("base that is no folder", base_model_name_or_path="../../planted"),
    _adapter_config("task", task_type="PLANTED"),
    Payload(name="adapter on a base with code", attempt=_adapter_on_code),
    Payload(name="adapter on a base of the hub", attempt=_hub),
    _adapter_beside("quantization.json", "of a method", {"dtype": "load", "load_in_4bit": True}),
    _adapter_beside("quantization.json", "with planted keys", {"dtype": "float32", "planted": 1}),
    _adapter_beside("classes.json", "without labels", {"planted": 1}),
    _weights("nothing", lambda: b""),
    _weights("seven bytes", lambda: b"1234567"),
    _weights("a huge header", _header({}, length=2**63)),
    _weights("a header of 2^64 - 1", _header({}, length=2**64 - 1)),
    _weights("a header longer than the file", _header({}, length=1000)),
    Payload(name="safetensors: a header of 100 MB", attempt=_sparse, bytes=400 << 20),
    _weights("overlapping", _header({"a": _tensor(0, 8), "b": _tensor(4, 12)}, 12)),
    _weights("a gap", _header({"a": _tensor(0, 8), "b": _tensor(12, 20)}, 20)),
    _weights("negative", _header({"a": _tensor(-8, 0)})),
    _weights("backwards", _header({"a": _tensor(8, 0)}, 8)),
    _weights("beyond the file", _header({"a": _tensor(0, 8)}, 4)),
    _weights("more than it says", _header({"a": _tensor(0, 8)}, 4000)),
    _weights("a name twice", _header(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32",'
                                     b'"shape":[2],"data_offsets":[0,8]}}', 8)),
    _weights("huge shape", _header({"a": _tensor(0, 8, [2**31, 2**31, 2**31])}, 8)),
    _weights("shape of fractions", _header({"a": _tensor(0, 8, [1.5])}, 8)),
    _weights("a number type that there is not", _header({"a": _tensor(0, 8, dtype="planted")}, 8)),
    _weights("a list", _header([1, 2])),
    _weights("depth", _header(b"[" * 200_000)),
    _weights("no text", _header(b"\xff\xfe\xfd")),
    _weights("other weights", _header({"planted": _tensor(0, 8)}, 8)),
    _weights("half of the weights", _header({"model.norm.weight": _tensor(0, 8)}, 8)),
    _config("vocabulary", vocab_size=10**9),
    _config("vocabulary below the limit", vocab_size=16_000_000),
    _config("width", hidden_size=10**9),
    _config("layers", num_hidden_layers=10**9),
    _config("layers below the limit", num_hidden_layers=999),
    _config("heads", num_attention_heads=10**9),
    _config("no heads", num_attention_heads=0),
    _config("negative", hidden_size=-16),
    _config("texts", hidden_size="planted", vocab_size="320"),
    _config("nulls", hidden_size=None, num_hidden_layers=None),
    _config("fractions", num_hidden_layers=2.5),
    _config("classes", num_labels=10**9),
    _config("positions", max_position_embeddings=10**12),
    _config("rope", rope_parameters={"rope_type": "planted", "rope_theta": "x"}),
    _config("rope of nothing", rope_parameters={"rope_type": "yarn", "factor": 0}),
    _config("layer types", layer_types=["planted"] * 1000),
    _config("nothing", hidden_size=0),
    Payload(name="fresh weights: vocabulary", attempt=_random(vocab_size=10**9)),
    Payload(name="fresh weights: below every limit", attempt=_random(vocab_size=10**7, hidden_size=10**7)),
    Payload(
        name="fresh weights: layers below the limit", quick=False,
        attempt=_random(num_hidden_layers=999, hidden_size=10**6)),
    _text("a list", "[]"),
    _text("no JSON", "{'a': 1}"),
    _text("depth", "[" * 100_000),
    _text("depth that is JSON", '{"a":' * 500 + "1" + "}" * 500),
    _text("digits", '{"model_type": "llama", "vocab_size": 1' + "0" * 5000 + "}"),
    _text("Latin-1", b'{"a": "\xe9"}'),
    _text("NUL", "\0" * 100),
    _text("empty", ""),
    _text("null", "null", "tokenizer_config.json"),
    _text("a list", "[1]", "generation_config.json"),
    _text("no JSON", "{", "tokenizer.json"),
    _text("empty", "", "tokenizer.json"),
)  # fmt: skip
