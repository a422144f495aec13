"""The exporter `ollama`: a folder with a GGUF file and a Modelfile, and the model registered with a server."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

from furrow.components.disk.publish import publishing, refuse_existing
from furrow.components.events import Emit, Event, Exported, ExportVerified, Noted, Warned
from furrow.components.exporter import Exporter, ExportRequest
from furrow.components.exporter.gguf.component import GgufConfig
from furrow.components.exporter.gguf.export import GgufExporter
from furrow.components.exporter.ollama.component import OllamaExporterConfig
from furrow.components.exporter.ollama.model_name import checked_name
from furrow.components.exporter.ollama.modelfile import NotWritable, commands_for, write_modelfile
from furrow.components.exporter.ollama.registration import ModelSettings, register
from furrow.components.models.pretrained import load_tokenizer
from furrow.components.ollama_address import base_url
from furrow.components.ollama_api import OllamaApi, OllamaUnreachable, options

GGUF = "model.gguf"
MODELFILE = "Modelfile"


class OllamaExporter:
    """Writes `<destination>/model.gguf` and `<destination>/Modelfile`; see `Exporter` for the contract."""

    def __init__(self, config: OllamaExporterConfig, gguf: Exporter | None = None) -> None:
        self._registration = config.registration
        self._api = OllamaApi(base_url(config.host))
        self._gguf = gguf or GgufExporter(GgufConfig(quantization=config.quantization))

    def export(self, request: ExportRequest, emit: Emit) -> Path:
        """Everything that can refuse is asked before the weights are written.

        Raises RequestError for a name that Ollama does not allow or knows already, OllamaUnreachable for an absent
        server when registration is `always`, NotWritable for a text that no Modelfile can hold and no server takes.
        When the server refuses the finished model, OllamaRefusal is raised and the files stay.
        """
        refuse_existing(request.destination, request.overwrite)
        settings = ModelSettings(
            name=checked_name(request.model_name),
            template=request.template.go(),
            system=request.template.system(),
            parameters=options(request.generation, stop_texts(request)),
        )
        absent = self._absent_server()
        if not absent and self._registration != "never":
            settings.refuse_known(self._api, request.overwrite)
        modelfile = _modelfile(settings, emit, needed=bool(absent) or self._registration == "never")
        self._publish(request, modelfile, emit)
        if self._registration == "never":
            emit(Noted(message=f"register it with: {_by_hand(settings.name, request.destination)}"))
        elif absent:
            emit(
                Warned(
                    message=f"not registered: {absent}", remedy=f"later: {_by_hand(settings.name, request.destination)}"
                )
            )
        else:
            register(self._api, settings, request.destination / GGUF, emit)
        return request.destination

    def _absent_server(self) -> str | None:
        """Why the server cannot be asked, or None if it can (or need not)."""
        if self._registration == "never":
            return None
        try:
            self._api.version()
        except OllamaUnreachable as error:
            if self._registration == "always":
                raise
            return error.what
        return None

    def _publish(self, request: ExportRequest, modelfile: str | None, emit: Emit) -> None:
        with publishing(request.destination, overwrite=request.overwrite) as staging:
            staging.mkdir()
            inner = dataclasses.replace(request, destination=staging / GGUF, overwrite=False)
            self._gguf.export(inner, _as_published(request.destination / GGUF, emit))
            if modelfile is not None:
                (staging / MODELFILE).write_bytes(modelfile.encode())
        size = sum(file.stat().st_size for file in request.destination.iterdir())
        emit(Exported(format="ollama", path=str(request.destination), bytes=size))


def stop_texts(request: ExportRequest) -> list[str]:
    """What ends an answer. Never empty: Ollama would take the stops of a template that it thinks it recognises."""
    texts = [*request.template.stop_sequences, request.template.end_of_turn()]
    stops = list(dict.fromkeys(text for text in texts if text))
    if stops:
        return stops
    tokenizer = load_tokenizer(request.source.tokenizer)
    return [tokenizer.eos_token] if tokenizer.eos_token else []


def _modelfile(settings: ModelSettings, emit: Emit, *, needed: bool) -> str | None:
    """Its text; None (with a warning) where the format cannot hold it and the server will be told through the API."""
    commands = commands_for(GGUF, settings.template, settings.system, settings.parameters)
    try:
        return write_modelfile(commands)
    except NotWritable as error:
        if needed:
            raise
        emit(
            Warned(message=f"no Modelfile is written: {error.what}", remedy="the server gets the text through its API")
        )
        return None


def _by_hand(name: str, folder: Path) -> str:
    return f"ollama create {name} -f {shlex.quote(str(folder / MODELFILE))}"


def _as_published(path: Path, emit: Emit) -> Emit:
    """Passes the inner exporter's events on under the path that the file will have; one `Exported` is enough."""

    def pass_on(event: Event) -> None:
        if isinstance(event, ExportVerified):
            event = dataclasses.replace(event, path=str(path))
        if not isinstance(event, Exported):
            emit(event)

    return pass_on
