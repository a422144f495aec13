"""Finds what a chat template writes around each turn, by rendering it, to say the same in Ollama's language."""

from __future__ import annotations

import itertools

from furrow.components.errors import FurrowError
from furrow.components.prompt_template import Message
from furrow.components.prompt_template.chat.sandbox import SandboxedTemplate
from furrow.components.prompt_template.turns import Around, Turns

# Unlikely texts, without white space at the ends (templates trim) and without markup.
_SYSTEM, _FIRST, _SECOND, _ANSWER = "Qsys7", "Qone7", "Qtwo7", "Qans7"


def _say(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def derive_turns(template: SandboxedTemplate, end: str) -> Turns:
    """The template as text around turns, checked on other conversations.

    `end` is the text of the token that ends an answer. Raises FurrowError if the template does more than put text
    around turns (numbers them, drops some, …): then it cannot be written in another language without being wrong.
    """
    render = template.render
    opening = render([_say("user", _FIRST)], add_generation_prompt=True)
    longer = render(
        [_say("user", _FIRST), _say("assistant", _ANSWER), _say("user", _SECOND)], add_generation_prompt=True
    )
    try:
        default, user_after = opening.split(_FIRST)
        before_answer, after_answer = longer.split(_ANSWER)
        if not before_answer.startswith(opening):
            raise ValueError("the text of a turn changes when the conversation goes on")
        turn_end, _, rest = after_answer.partition(end)
        between = rest.removesuffix(_SECOND + user_after)
        around_system = _around_system(template)
        user_before = _common_suffix(default, between)
        if around_system is not None:
            user_before = _common_suffix(user_before, around_system.after)
            around_system = Around(around_system.before, around_system.after.removesuffix(user_before))
        turns = Turns(
            system=around_system,
            user=Around(user_before, user_after),
            assistant=Around(before_answer.removeprefix(opening), turn_end),
            end=end,
            between=between.removesuffix(user_before),
            default_system=_default_system(default.removesuffix(user_before), around_system),
        )
    except ValueError as error:
        raise _inexpressible(str(error)) from error
    _verify(turns, template)
    return turns


def _around_system(template: SandboxedTemplate) -> Around | None:
    """What stands before a system prompt, and between it and the first question; None if the template takes none."""
    try:
        text = template.render([_say("system", _SYSTEM), _say("user", _FIRST)], add_generation_prompt=True)
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


def _verify(turns: Turns, template: SandboxedTemplate) -> None:
    """Renders conversations of every shape both ways; they must be equal letter by letter."""
    user, answer = [_say("user", "Why?")], [_say("assistant", "Because it is so.")]
    shapes = [user, [*user, *answer, *user], [*user, *answer, *user, *answer, *user]]
    systems: list[list[Message]] = [[]] if turns.system is None else [[], [_say("system", "Be brief.")]]
    for system, shape in itertools.product(systems, shapes):
        messages = [*system, *shape]
        theirs = template.render(messages, add_generation_prompt=True)
        if turns.text(messages) != theirs:
            raise _inexpressible(f"it renders {theirs!r} where {turns.text(messages)!r} was expected")


def _common_suffix(left: str, right: str) -> str:
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(reversed(left), reversed(right), strict=False))
    return "".join(letter for letter, _ in pairs)[::-1]


def _inexpressible(why: str) -> FurrowError:
    return FurrowError(
        f"the model's chat template cannot be written in Ollama's template language: {why}",
        where="prompt_template",
        remedy="use prompt_template.format, or export a GGUF and serve it with llama.cpp, which reads the Jinja itself",
    )
