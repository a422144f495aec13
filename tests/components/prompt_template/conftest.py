"""The part of Go's text/template that Furrow writes, interpreted: an independent reading of what Ollama will render."""

from __future__ import annotations

import json
import re

import pytest


@pytest.fixture
def run_go():
    """render(template, system, turns) -> text. Knows if, else if, range, eq, and, end, fields, variables, literals."""
    return _render


def _render(template, system, turns):
    tokens = re.split(r"(\{\{.*?\}\})", template)
    text, rest = _block(tokens, {"System": system or "", "Messages": turns}, None)
    assert not rest
    return text


def _block(tokens, root, message):
    out = ""
    while tokens:
        token, tokens = tokens[0], tokens[1:]
        if not token.startswith("{{"):
            out += token
            continue
        action = token[2:-2].strip()
        if action == "end" or action.startswith("else"):
            return out, [token, *tokens]
        if action.startswith("range"):
            body = tokens
            for item in root["Messages"]:
                piece, tokens = _block(body, root, item)
                out += piece
            tokens = tokens[1:]
        elif action.startswith("$") and "=" in action:
            name, value = (part.strip(" :") for part in action.split("="))
            root[name] = {"true": True, "false": False}[value]
        elif action.startswith("if"):
            piece, tokens = _choice(action[2:], tokens, root, message)
            out += piece
        else:
            out += _value(action, root, message)
    return out, tokens


def _choice(condition, tokens, root, message):
    chosen = None
    while True:
        holds = chosen is None and _holds(condition, root, message)
        piece, tokens = _block(tokens, root if holds else dict(root), message)  # what is not chosen sets no variable
        if holds:
            chosen = piece
        action, tokens = tokens[0][2:-2].strip(), tokens[1:]
        if action == "end":
            return chosen or "", tokens
        condition = action.removeprefix("else if")


def _holds(condition, root, message):
    parts = condition.split()
    if parts[0] == "eq":
        return _value(parts[1], root, message) == _value(parts[2], root, message)
    if parts[0] == "and":
        return all(_value(part, root, message) for part in parts[1:])
    return bool(_value(parts[0], root, message))


def _value(name, root, message):
    if name.startswith('"'):
        return json.loads(name)
    if message is not None and name in (".Content", ".Role"):
        return message[name[1:].lower()]
    return root[name if name in root else name.removeprefix("$")[1:]]
