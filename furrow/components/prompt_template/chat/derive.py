"""Finds what a chat template writes around each turn, by rendering it, to say the same in Ollama's language."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from furrow.components.errors import FurrowError
from furrow.components.prompt_template import Message
from furrow.components.prompt_template.chat.sandbox import SandboxedTemplate
from furrow.components.prompt_template.turns import Around, Turns

# Unlikely texts, without white space at the ends (templates trim) and without markup.
_SYSTEM, _FIRST, _SECOND, _ANSWER = "Qsys7", "Qone7", "Qtwo7", "Qans7"


def _say(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def derive_turns(
    template: SandboxedTemplate, end: str, opening: str = "", name: str = "the model's chat template"
) -> Turns:
    """The template as text around turns, checked on other conversations.

    `end` is the text of the token that ends an answer, `opening` a BOS token that the template itself writes. Raises
    FurrowError if the template does more than put text around turns (numbers them, drops some, …): then it cannot be
    written in another language without being wrong.
    """
    why = "it takes no question"
    for system_inside in (False, True):
        try:
            turns = _guessed(template, end, opening, system_inside)
        except (ValueError, FurrowError) as error:
            why = error.what if isinstance(error, FurrowError) else str(error)
            continue
        wrong = _difference(turns, template)
        if wrong is None:
            return turns
        why = wrong
    raise FurrowError(
        f"{name} cannot be written in Ollama's template language: {why}",
        where="prompt_template",
        remedy="use prompt_template.format, or export a GGUF and serve it with llama.cpp, which reads the Jinja itself",
    )


def _guessed(template: SandboxedTemplate, end: str, opening: str, system_inside: bool) -> Turns:
    """What the turns would be if the system prompt stood before the first one, or within it."""

    def render(*messages: Message) -> str:
        return template.render(messages, add_generation_prompt=True).removeprefix(opening)

    user, answer = _say("user", _FIRST), _say("assistant", _ANSWER)
    first, longer = render(user), render(user, answer, _say("user", _SECOND))
    default, user_after = first.split(_FIRST)
    before_answer, after_answer = longer.split(_ANSWER)
    if not before_answer.startswith(first):
        raise ValueError("the text of a turn changes when the conversation goes on")
    turn_end, _, rest = after_answer.partition(end)
    between = rest.removesuffix(_SECOND + user_after)
    user_before = _common_suffix(default, between)
    system = _around_system(render)
    if system_inside:
        if system is None or not system.before.startswith(user_before):
            raise ValueError("the system prompt stands neither before the first question nor within it")
        system = Around(system.before.removeprefix(user_before), system.after)
    elif system is not None:
        user_before = _common_suffix(user_before, system.after)
        system = Around(system.before, system.after.removesuffix(user_before))
    return Turns(
        system=system,
        user=Around(user_before, user_after),
        assistant=Around(before_answer.removeprefix(first), turn_end),
        end=end,
        between=between.removesuffix(user_before),
        default_system=_default_system(default.removesuffix(user_before), system),
        system_inside=system_inside,
        opening=opening,
    )


def _around_system(render: Callable[..., str]) -> Around | None:
    """What stands before a system prompt, and between it and the first question; None if the template takes none."""
    try:
        text = render(_say("system", _SYSTEM), _say("user", _FIRST))
    except FurrowError:  # Gemma's template raises for a system message
        return None
    return Around(*text.partition(_FIRST)[0].split(_SYSTEM)) if _SYSTEM in text else None


def _default_system(default: str, around: Around | None) -> str | None:
    """The system prompt that the template brings itself when the conversation has none."""
    if not default:
        return None
    if around is None or not (default.startswith(around.before) and default.endswith(around.after)):
        raise ValueError("text stands before the first turn that is no system prompt")
    return default[len(around.before) : len(default) - len(around.after)] or None


def _difference(turns: Turns, template: SandboxedTemplate) -> str | None:
    """Renders conversations of every shape both ways; None where they are equal letter by letter."""
    user, answer = [_say("user", "Why?")], [_say("assistant", "Because it is so.")]
    shapes = [user, [*user, *answer, *user], [*user, *answer, *user, *answer, *user]]
    systems: list[list[Message]] = [[]] if turns.system is None else [[], [_say("system", "Be brief.")]]
    for system, shape in itertools.product(systems, shapes):
        messages = [*system, *shape]
        theirs = template.render(messages, add_generation_prompt=True)
        if turns.text(messages) != theirs:
            return f"it renders {theirs!r} where {turns.text(messages)!r} was expected"
    return None


def _common_suffix(left: str, right: str) -> str:
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(reversed(left), reversed(right), strict=False))
    return "".join(letter for letter, _ in pairs)[::-1]
