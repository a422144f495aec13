"""The whole strategy as YAML, every default written out, so that a run can be repeated from its own folder."""

from __future__ import annotations

from typing import Any

import yaml

from furrow.components.plain_text import printable
from furrow.strategies.references import escape
from furrow.strategies.schema import Strategy


def filled_yaml(strategy: Strategy) -> str:
    """A strategy file with this one strategy in it, which loads to an equal Strategy."""
    told = {strategy.key: _told(strategy.model_dump(mode="json"))}
    written = _dumped(told, allow_unicode=True)
    return written if printable(written) == written else _dumped(told, allow_unicode=False)


def _dumped(told: Any, *, allow_unicode: bool) -> str:
    """Without `allow_unicode` all but ASCII is escaped: what turns the direction of writing around is not hidden."""
    return yaml.dump(told, Dumper=_Dumper, sort_keys=False, allow_unicode=allow_unicode, width=110)


def _told(value: Any) -> Any:
    """Without the keys that have no value (their default is to have none), and `${` as plain text."""
    if isinstance(value, dict):
        return {key: _told(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_told(item) for item in value]
    return escape(value) if isinstance(value, str) else value


_LINE_BREAKS = {"\r", "\x85", "\u2028", "\u2029"}
"""What YAML takes for the end of a line, and would give back as a newline."""


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks; texts that YAML 1.1 or 1.2 would read as something else in quotes."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if set(text) & _LINE_BREAKS:
        style = '"'  # only there are they escaped
    elif "\n" in text and text.strip() and not text.startswith((" ", "\n")):
        style = "|"
    elif text.startswith(tuple("0123456789.+-")):
        style = "'"  # PyYAML would write 1e-4 bare, which OmegaConf reads as a number
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
