"""The folder that is written and what the server is told, with a tiny GGUF in the place of a converted model."""

from __future__ import annotations

import dataclasses
import hashlib

import gguf
import numpy as np
import pytest

from furrow.components.disk.publish import publishing
from furrow.components.errors import FurrowError, RequestError
from furrow.components.events import Exported, ExportVerified, Noted, Progressed, Warned
from furrow.components.exporter import ExportRequest
from furrow.components.exporter.ollama.component import COMPONENT, OllamaExporterConfig
from furrow.components.exporter.ollama.export import OllamaExporter
from furrow.components.exporter.ollama.modelfile import NotWritable
from furrow.components.exporter.ollama.modelfile_grammar import read_modelfile
from furrow.components.generation import GenerationConfig
from furrow.components.models.folder import ModelFolder
from furrow.components.ollama_api import OllamaRefusal, OllamaUnreachable


class TinyGguf:
    """Writes a real GGUF of one tensor where the exporter `gguf` would write a model."""

    def __init__(self):
        self.exports = 0

    def export(self, request, emit):
        self.exports += 1
        with publishing(request.destination, overwrite=request.overwrite) as staging:
            writer = gguf.GGUFWriter(staging, "llama")
            writer.add_tensor("output.weight", np.arange(8, dtype=np.float32))
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            writer.close()
        path = str(request.destination)
        emit(ExportVerified(path=path, mean_kl=0, max_kl=0, max_abs=0, top1_agreement=1, positions=1))
        emit(Exported(format="gguf", path=path, bytes=request.destination.stat().st_size))
        return request.destination


@dataclasses.dataclass
class Template:
    stop_sequences: tuple = ("### User:",)
    system_text: str | None = "You are a gardener."
    turn: str | None = None

    def go(self):
        return "{{ .System }}\n### User: {{ .Prompt }}\n### Answer: "

    def system(self):
        return self.system_text

    def end_of_turn(self):
        return self.turn


@pytest.fixture
def request_of(tmp_path):
    def make(**changes):
        settings = {
            "source": ModelFolder(tmp_path / "final_model", "weights"),
            "destination": tmp_path / "exports" / "ollama",
            "template": Template(),
            "generation": GenerationConfig(max_new_tokens=50, temperature=0.5, top_p=0.9, repetition_penalty=1.1),
            "model_name": "garden:v1",
            "probe_prompts": ("x",),
        }
        return ExportRequest(**{**settings, **changes})

    return make


def exporter(registration="auto", writer=None):
    return OllamaExporter(OllamaExporterConfig(registration=registration), writer or TinyGguf())


PARAMETERS = {
    "num_predict": 50, "temperature": 0.5, "top_k": 0, "top_p": 0.9, "min_p": 0.0, "repeat_penalty": 1.1,
    "repeat_last_n": -1, "seed": 42, "stop": ["### User:"],
}  # fmt: skip


def test_the_server_gets_the_file_the_template_the_system_prompt_and_the_stops(ollama, request_of, events):
    folder = exporter().export(request_of(), events.append)
    data = (folder / "model.gguf").read_bytes()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert ollama.blobs == {digest: data}
    assert ollama.models == {
        "garden:v1": {
            "model": "garden:v1",
            "files": {"model.gguf": digest},
            "template": "{{ .System }}\n### User: {{ .Prompt }}\n### Answer: ",
            "system": "You are a gardener.",
            "parameters": PARAMETERS,
            "stream": True,
        }
    }
    assert any(isinstance(event, Noted) and "ollama run garden:v1" in event.message for event in events)


def test_the_modelfile_says_the_same_as_the_api(ollama, request_of, events):
    folder = exporter().export(request_of(), events.append)
    commands = read_modelfile((folder / "Modelfile").read_bytes().decode())
    told = ollama.models["garden:v1"]
    assert dict(commands) == {
        "model": "./model.gguf",
        "template": told["template"],
        "system": told["system"],
        **{name: str(value) for name, value in PARAMETERS.items() if name != "stop"},
        "stop": "### User:",
    }


def test_events_name_the_published_files_and_one_export(ollama, request_of, events):
    folder = exporter().export(request_of(), events.append)
    [verified] = [event for event in events if isinstance(event, ExportVerified)]
    assert verified.path == str(folder / "model.gguf")
    [exported] = [event for event in events if isinstance(event, Exported)]
    assert (exported.format, exported.path) == ("ollama", str(folder))
    assert exported.bytes == sum(file.stat().st_size for file in folder.iterdir())
    assert [event.done == event.total for event in events if isinstance(event, Progressed)][-1]


def test_a_file_that_the_server_has_is_not_sent_again(ollama, request_of, events):
    exporter().export(request_of(), events.append)
    exporter().export(request_of(model_name="other", overwrite=True), events.append)
    uploads = [request for request in ollama.requests if request[0] == "POST" and "/api/blobs/" in request[1]]
    assert len(uploads) == 1
    assert set(ollama.models) == {"garden:v1", "other"}


def test_without_a_server_the_files_are_whole_and_the_warning_says_how_to_register(no_ollama, request_of, events):
    folder = exporter().export(request_of(), events.append)
    assert sorted(file.name for file in folder.iterdir()) == ["Modelfile", "model.gguf"]
    [warned] = [event for event in events if isinstance(event, Warned)]
    assert no_ollama in warned.message
    assert f"ollama create garden:v1 -f {folder}/Modelfile" in warned.remedy


def test_an_absent_server_is_an_error_before_any_work_where_registration_is_demanded(no_ollama, request_of, events):
    writer = TinyGguf()
    with pytest.raises(OllamaUnreachable):
        exporter("always", writer).export(request_of(), events.append)
    assert (writer.exports, request_of().destination.exists()) == (0, False)


def test_registration_can_be_left_out_though_a_server_is_there(ollama, request_of, events):
    exporter("never").export(request_of(), events.append)
    assert ollama.requests == []


def test_an_error_inside_the_stream_is_an_error_and_the_files_stay(ollama, request_of, events):
    ollama.stream_error = "no space left on device"
    with pytest.raises(OllamaRefusal, match="no space left on device") as caught:
        exporter().export(request_of(), events.append)
    assert str(request_of().destination) in caught.value.remedy
    assert (request_of().destination / "Modelfile").is_file()


def test_a_stream_that_ends_before_success_is_an_error(ollama, request_of, events):
    ollama.break_off = True
    with pytest.raises(FurrowError):
        exporter().export(request_of(), events.append)


def test_a_model_of_that_name_is_replaced_only_with_overwrite(ollama, request_of, events, tmp_path):
    exporter().export(request_of(), events.append)
    writer = TinyGguf()
    elsewhere = request_of(destination=tmp_path / "elsewhere")
    with pytest.raises(RequestError, match="garden:v1"):
        exporter("auto", writer).export(elsewhere, events.append)
    assert writer.exports == 0
    exporter().export(dataclasses.replace(elsewhere, overwrite=True), events.append)


def test_an_illegal_name_is_refused_before_any_work(ollama, request_of, events):
    writer = TinyGguf()
    with pytest.raises(RequestError, match="my garden"):
        exporter("auto", writer).export(request_of(model_name="my garden"), events.append)
    assert (writer.exports, ollama.requests) == (0, [])


UNWRITABLE = Template(system_text="100\u00a0% organic")


def test_a_text_that_no_modelfile_holds_goes_through_the_api_alone(ollama, request_of, events):
    folder = exporter().export(request_of(template=UNWRITABLE), events.append)
    assert [file.name for file in folder.iterdir()] == ["model.gguf"]
    assert ollama.models["garden:v1"]["system"] == "100\u00a0% organic"
    assert any(isinstance(event, Warned) and "U+00A0" in event.message for event in events)


def test_a_text_that_no_modelfile_holds_is_refused_without_a_server(no_ollama, request_of, events):
    writer = TinyGguf()
    with pytest.raises(NotWritable, match=r"U\+00A0"):
        exporter("auto", writer).export(request_of(template=UNWRITABLE), events.append)
    assert (writer.exports, request_of().destination.exists()) == (0, False)


def test_the_end_of_a_turn_is_a_stop_too(ollama, request_of, events):
    exporter().export(request_of(template=Template(turn="<|end|>")), events.append)
    assert ollama.models["garden:v1"]["parameters"]["stop"] == ["### User:", "<|end|>"]


def test_without_stop_texts_the_end_token_is_given_so_that_ollama_guesses_none(
    ollama, request_of, events, byte_tokenizer, tmp_path
):
    byte_tokenizer.save_pretrained(tmp_path / "final_model")
    exporter().export(request_of(template=Template(stop_sequences=())), events.append)
    assert ollama.models["garden:v1"]["parameters"]["stop"] == ["</s>"]


def test_a_real_model_is_converted_verified_and_registered(ollama, request_of, events, small_llama):
    class ChatTemplate(Template):
        def prompt(self, messages):
            return "".join(f"<|user|>{message['content']}<|end|>" for message in messages)

        def jinja(self):
            return "{% for m in messages %}<|user|>{{ m.content }}<|end|>{% endfor %}"

    request = request_of(source=ModelFolder(small_llama, "weights"), template=ChatTemplate(turn="<|end|>"))
    folder = OllamaExporter(OllamaExporterConfig(quantization="q8_0")).export(request, events.append)
    [verified] = [event for event in events if isinstance(event, ExportVerified)]
    assert verified.path == str(folder / "model.gguf")
    [data] = ollama.blobs.values()
    assert data == (folder / "model.gguf").read_bytes()
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(("registration", "status"), [("auto", "warning"), ("always", "failed"), ("never", None)])
def test_setup_weighs_an_absent_server_by_what_was_asked(no_ollama, registration, status):
    checks = {check.name: check.status for check in COMPONENT.checks(OllamaExporterConfig(registration=registration))}
    assert checks.get("Ollama") == status
