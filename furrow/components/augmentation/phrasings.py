"""Phrasings that come with `instruction_variation`: few and plain, so that none of them changes what is asked."""

from __future__ import annotations

PATTERNS = (
    "Please {request}.",
    "Could you {request}?",
    "Can you {request} for me?",
    "I would like you to {request}.",
    "Your task is to {request}.",
    "I need you to {request}.",
    "Can you tell me: {question}?",
    "Please answer this question: {question}?",
    "I would like to know: {question}?",
    "Here is a question: {question}?",
    "{instruction}\n\nThank you.",
    "Please help me with this: {instruction}",
)

OPENINGS: dict[str, tuple[str, ...]] = {
    "How do I": ("How can I", "How should I"),
    "How can I": ("How do I", "What can I do to"),
    "What is the difference between": ("What distinguishes",),
    "Can you": ("Could you", "Would you"),
    "Could you": ("Can you", "Would you"),
    "Give me": ("Provide", "I would like"),
    "Give": ("Provide",),
    "Provide": ("Give",),
    "List": ("Write down",),
    "Create": ("Make", "Produce"),
    "Generate": ("Produce", "Come up with"),
    "Summarize": ("Sum up",),
    "Summarise": ("Sum up",),
    "Calculate": ("Compute", "Work out"),
    "Compute": ("Calculate", "Work out"),
}
"""Where several fit, the longest one is taken. Left out is what needs its object right behind it: "Explain in a
sentence" is no "Give an explanation of in a sentence"."""

_VERBS = """
    act add analyse analyze answer apply arrange ask assess assume build calculate capitalize categorize change
    check choose classify combine come compare complete compose compute construct convert correct count create
    critique debug decide define delete describe design detect determine develop devise discuss display divide draft
    draw edit elaborate enumerate estimate evaluate examine expand explain express extract fill find fix form format
    formulate generate give group guess help identify illustrate imagine implement improve indicate infer insert
    interpret invent join label learn list make match mention merge modify multiply name order organize outline
    paint paraphrase perform pick plan point predict prepare produce propose prove provide punctuate put rank rate
    read recall recite recognize recommend reduce refactor remove rename reorder repeat rephrase replace report
    resolve respond restate return revise rewrite say search select separate shorten show simplify sketch solve sort
    specify spell split state subtract suggest summarise summarize teach tell think tokenize transform translate
    turn update use verify write
"""
VERBS = frozenset(_VERBS.split())
"""What an instruction begins with: a sentence that does is an order, and fits behind "please"."""

_QUESTION_WORDS = "what which who whom whose when where why how is are was were do does did"
QUESTION_WORDS = frozenset(_QUESTION_WORDS.split())
"""What a question begins with that fits behind "I would like to know:"; "could you" does not."""
