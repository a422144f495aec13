"""What stands nowhere in Furrow, read from the source of every module: shells, evaluated text, pickles, remote code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted([*(ROOT / "furrow").rglob("*.py"), *(ROOT / "demos").rglob("*.py"), ROOT / "cli.py"])
CALLED = {
    "eval", "exec", "compile", "__import__", "execfile",
    "os.system", "os.popen", "os.execv", "os.execve", "os.execvp", "os.execl", "os.spawnv", "os.spawnl",
    "subprocess.getoutput", "subprocess.getstatusoutput", "pty.spawn", "commands.getoutput",
    "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "OmegaConf.register_new_resolver",
    "importlib.import_module", "runpy.run_path", "runpy.run_module", "hydra.utils.instantiate",
}  # fmt: skip
"""Functions that are never called; those of a module by its name. `allowed` says where one is after all."""
IMPORTED = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "code",
    "commands",
    "pty",
    "hydra",
}
METHODS = {"apply_chat_template", "create_chat_completion", "format_map", "Unpickler", "DirectLoader"}
"""A model's template is rendered by the metered sandbox only; the other renderers bound nothing. `format_map` and
`format` walk attributes where the text is not ours."""
ALLOWED = {
    ("furrow/components/registry.py", "importlib.import_module"): "rows of the table, and entry points of packages",
}


def name_of(node: ast.expr) -> str:
    """`a.b.c` of a call's function; empty where it is something else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value) or '…'}.{node.attr}"
    return ""


def calls(file: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Call))


def where(file: Path, node: ast.AST) -> str:
    return f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def keywords(call: ast.Call) -> dict[str, object]:
    return {word.arg or "**": getattr(word.value, "value", word.value) for word in call.keywords}


def test_nothing_evaluates_text_or_starts_a_shell():
    found = [
        f"{where(file, call)} {name}"
        for file in FILES
        for call in calls(file)
        if (name := name_of(call.func)) in CALLED
        if (str(file.relative_to(ROOT)), name) not in ALLOWED
    ]
    assert found == []


def test_every_process_is_started_without_a_shell_and_with_a_list():
    for file in FILES:
        for call in calls(file):
            if name_of(call.func).startswith("subprocess."):
                assert "shell" not in keywords(call), where(file, call)
                assert call.args and isinstance(call.args[0], ast.List | ast.Name | ast.Starred), where(file, call)


def test_nothing_imports_what_can_unpickle():
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & IMPORTED, where(file, node)


def test_torch_and_numpy_load_no_pickles():
    for file in FILES:
        for call in calls(file):
            name = name_of(call.func)
            if name == "torch.load":
                assert keywords(call).get("weights_only") is True, where(file, call)
            if name in ("numpy.load", "np.load"):
                assert keywords(call).get("allow_pickle", False) is False, where(file, call)


def test_every_model_and_tokenizer_is_loaded_without_its_code():
    for file in FILES:
        for call in calls(file):
            given = keywords(call)
            assert given.get("trust_remote_code", False) is not True, where(file, call)
            if name_of(call.func).startswith("Auto") and name_of(call.func).endswith(".from_pretrained"):
                assert given.get("trust_remote_code") is False or "**" in given, where(file, call)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_no_template_is_rendered_past_the_metered_sandbox(method):
    found = [where(file, call) for file in FILES for call in calls(file) if name_of(call.func).endswith(method)]
    assert found == []


def test_jinja_and_llama_cpp_are_used_where_they_are_bounded():
    """llama.cpp's own class renders chat templates and has no bound for loops: Furrow hands it token ids."""
    for file in FILES:
        name = str(file.relative_to(ROOT))
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            if any(module.partition(".")[0] == "jinja2" for module in modules):
                assert name.startswith("furrow/components/prompt_template/chat/"), where(file, node)
            if isinstance(node, ast.Call):
                assert name_of(node.func) not in ("llama_cpp.Llama", "Llama"), where(file, node)


def test_text_of_others_is_never_a_format():
    """`"…{}".format(x)` is ours; `text.format(x)` walks the attributes of x as the text says."""
    for file in FILES:
        for call in calls(file):
            if isinstance(call.func, ast.Attribute) and call.func.attr in ("format", "format_map"):
                assert isinstance(call.func.value, ast.Constant) and call.func.attr == "format", where(file, call)


def test_temporary_files_have_names_that_nobody_can_guess():
    found = [where(file, call) for file in FILES for call in calls(file) if name_of(call.func) == "tempfile.mktemp"]
    assert found == []
