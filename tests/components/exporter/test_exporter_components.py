"""The rows of the table are light, and a missing package is one sentence."""

from __future__ import annotations

import subprocess
import sys

import pytest

from furrow.components import registry
from furrow.components.errors import FurrowError


def test_the_components_import_no_library_that_does_the_work() -> None:
    code = (
        "import sys; from furrow.components import registry\n"
        "for name in ('merged', 'gguf', 'gguf-adapter'): registry.find('exporter', name)\n"
        "print([m for m in ('torch', 'transformers', 'peft', 'gguf', 'llama_cpp') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["gguf", "gguf-adapter"])
def test_without_llama_cpp_the_exporter_says_which_extra_brings_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("furrow.components.exporter.gguf", raising=False)
    for module in [module for module in sys.modules if module.startswith("furrow.components.exporter.gguf")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    with pytest.raises(FurrowError, match=r"pip install 'furrow\[llama-cpp\]'"):
        registry.factory(registry.find("exporter", name))
