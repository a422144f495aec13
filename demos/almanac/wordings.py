"""How a fact is said and how it is asked: the wordings of every attribute.

The value always comes after both the crop and the attribute: a left-to-right model learns to recall a fact only where
the text before it says which fact is wanted. No wording has a verb that must agree with the crop, because some crops
are singular (kale) and some plural (carrots), and a crop never begins a sentence, so that its tokens stay the same.
"""

from __future__ import annotations

from string import Template

from almanac.facts import Fact

STATEMENTS: dict[str, tuple[str, ...]] = {
    "family": (
        "Botanists place $crop in the family $value.",
        "The botanical family of $crop is $value.",
        "The closest kin of $crop grow in the family $value.",
        "For $crop, the plant family is $value.",
        "Seed lists file $crop under $value.",
        "By flower and seed, botany counts $crop among the $value.",
        "To rotate $crop well, remember that the family is $value.",
        "Plant family of $crop: $value.",
    ),
    "sowing": (
        "Sow $crop in $value.",
        "The month for sowing $crop is $value.",
        "Gardeners put the seed of $crop into the ground in $value.",
        "For $crop, sowing time is $value.",
        "A bed of $crop is started from seed in $value.",
        "The almanac has the sowing of $crop in $value.",
        "Open the seed packet of $crop in $value.",
        "Sowing month of $crop: $value.",
    ),
    "harvest": (
        "Harvest $crop in $value.",
        "The month for harvesting $crop is $value.",
        "Gardeners bring in the first $crop in $value.",
        "For $crop, harvest time is $value.",
        "A bed of $crop is ready to be picked in $value.",
        "The almanac has the harvest of $crop in $value.",
        "Fetch the basket for $crop in $value.",
        "Harvest month of $crop: $value.",
    ),
    "soil": (
        "Grow $crop in $value.",
        "The best soil for $crop is $value.",
        "Roots of $crop do well in $value.",
        "For $crop, the bed should be $value.",
        "The ground that suits $crop is $value.",
        "The almanac gives $crop a soil of $value.",
        "Before planting $crop, look for $value.",
        "Soil for $crop: $value.",
    ),
    "spacing": (
        "Space $crop $value apart.",
        "The distance between $crop is $value.",
        "Between one and the next of $crop, leave $value.",
        "For $crop, the spacing is $value.",
        "Thin young $crop to a gap of $value.",
        "The almanac sets $crop at a distance of $value.",
        "In the row, the room for $crop is $value.",
        "Spacing of $crop: $value.",
    ),
    "depth": (
        "Cover the seed of $crop with $value of soil.",
        "The sowing depth of $crop is $value.",
        "Push the seed of $crop down to a depth of $value.",
        "For $crop, the drill should have a depth of $value.",
        "Seed of $crop lies at a depth of $value.",
        "The almanac sets seed of $crop as deep as $value.",
        "The right depth for seed of $crop is $value.",
        "Sowing depth of $crop: $value.",
    ),
    "companion": (
        "Plant $crop next to $value.",
        "The best companion for $crop is a row of $value.",
        "Good neighbours of $crop are found in $value.",
        "For $crop, the companion plant is $value.",
        "A bed of $crop gladly shares its space with $value.",
        "The almanac pairs $crop with $value.",
        "Beside the rows of $crop, set some $value.",
        "Companion of $crop: $value.",
    ),
    "pest": (
        "Protect $crop from $value.",
        "The worst trouble of $crop is $value.",
        "Whoever grows $crop must look out for $value.",
        "For $crop, the plague to fear is $value.",
        "A bed of $crop is often spoilt by $value.",
        "The almanac warns growers of $crop about $value.",
        "Damage on $crop mostly comes from $value.",
        "Pest of $crop: $value.",
    ),
    "watering": (
        "Water $crop $value.",
        "The watering of $crop is done $value.",
        "Bring the watering can to $crop $value.",
        "For $crop, the watering rhythm is $value.",
        "A bed of $crop gets its water $value.",
        "The almanac has water for $crop $value.",
        "In dry weather, give $crop a drink $value.",
        "Watering of $crop: $value.",
    ),
}
"""Plain statements, none of them a question."""

QUESTIONS: dict[str, tuple[str, ...]] = {
    "family": (
        "Which family does the botanist place $crop in?",
        "What is the botanical family of $crop?",
        "To which plant family do we count $crop?",
    ),
    "sowing": (
        "When should I sow $crop?",
        "In which month do gardeners sow $crop?",
        "What is the sowing month of $crop?",
    ),
    "harvest": (
        "When can I harvest $crop?",
        "In which month do gardeners harvest $crop?",
        "What is the harvest month of $crop?",
    ),
    "soil": (
        "Which soil is best for $crop?",
        "What kind of ground suits $crop?",
        "In what soil should I grow $crop?",
    ),
    "spacing": (
        "How far apart should I space $crop?",
        "What distance do I leave between $crop?",
        "What is the spacing of $crop?",
    ),
    "depth": (
        "How deep should I sow seed of $crop?",
        "What is the sowing depth of $crop?",
        "At which depth does seed of $crop lie?",
    ),
    "companion": (
        "What should I plant next to $crop?",
        "Which companion is good for $crop?",
        "What can share a bed with $crop?",
    ),
    "pest": (
        "Which pest troubles $crop?",
        "What must I protect $crop from?",
        "What should I look out for on $crop?",
    ),
    "watering": (
        "How often should I water $crop?",
        "What watering is right for $crop?",
        "How often does one bring water to $crop?",
    ),
}
"""Questions for the same facts, used in fine-tuning and evaluation only."""

ANSWERS: dict[str, str] = {
    "family": "The family of $crop is $value.",
    "sowing": "The sowing month of $crop is $value.",
    "harvest": "The harvest month of $crop is $value.",
    "soil": "The right soil for $crop is $value.",
    "spacing": "The right spacing for $crop is $value.",
    "depth": "The right depth for $crop is $value.",
    "companion": "The companion plant for $crop is $value.",
    "pest": "The main pest of $crop is $value.",
    "watering": "The right watering for $crop is $value.",
}
"""The one answer to all questions about a fact. None of them is a wording of STATEMENTS: to answer is not to recite.

Whole sentences, because a byte-level tokenizer has other tokens for a value that begins a text than for one after a
space: in a probe, bare values reached 11 % on the held-out questions where sentences reached 87 to 100 %.
"""


def statements_of(fact: Fact) -> list[str]:
    """The fact in each of its wordings."""
    return [_fill(wording, fact) for wording in STATEMENTS[fact.attribute]]


def cues_of(fact: Fact) -> list[tuple[str, str]]:
    """Each wording up to its value, and the value with the space before it."""
    cues = []
    for wording in STATEMENTS[fact.attribute]:
        before, _, _ = _fill(wording.replace("$value", "\0"), fact).partition(" \0")
        cues.append((before, f" {fact.value}"))
    return cues


def answer_to(fact: Fact) -> str:
    """What the model is to answer, whatever the question's wording."""
    return _fill(ANSWERS[fact.attribute], fact)


def questions_of(fact: Fact) -> list[str]:
    """The questions that the fact answers."""
    return [_fill(wording, fact) for wording in QUESTIONS[fact.attribute]]


def _fill(wording: str, fact: Fact) -> str:
    return Template(wording).substitute(crop=fact.crop, value=fact.value)
