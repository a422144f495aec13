"""How many answers are right, word for word."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def normalised(answer: str) -> str:
    """The answer without case, outer white space and final full stop."""
    return answer.strip().removesuffix(".").rstrip().casefold()


def exact_match(answers: Sequence[str], expected: Sequence[str]) -> float:
    """The share of answers, 0 to 1, that equal what was expected once both are normalised."""
    if len(answers) != len(expected) or not expected:
        raise ValueError(f"{len(answers)} answers for {len(expected)} questions")
    return sum(map(is_right, answers, expected)) / len(expected)


def is_right(answer: str, expected: str) -> bool:
    """Equal once both are normalised; an answer that goes on after the right words is wrong."""
    return normalised(answer) == normalised(expected)


def ask(rows: Sequence[dict[str, str]], answer: Callable[[str], str]) -> list[str]:
    """The answers of `answer(prompt)` to the rows' `prompt`, in their order."""
    return [answer(row["prompt"]) for row in rows]
