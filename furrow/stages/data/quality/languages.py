"""In which language a text is, by its script and by the words that every text of a language has.

Tells the languages of `FREQUENT` and `SCRIPTS` apart in texts of some ten words on. It does not know others, and says
nothing of a text that is too short, a mere name, code, or in two languages by halves.
"""

from __future__ import annotations

import re
from collections import Counter

FREQUENT = {
    "en": "the of and to in is that it for you was with as on are this be have from not what which how when should by",
    "de": "der die und das ist nicht ein eine den von zu mit sich auf für im dem auch als wie des wird sind oder bei",
    "fr": "le la les des et est un une dans que qui pour pas sur au du par avec plus ce il sont cette vous être",
    "es": "el la los las de y en que es un una por con para del se no como más su al lo son está qué",
    "it": "il di che è la e un una per non con del della sono si le i nel gli come più da alla questo anche",
    "pt": "o a os as de e em que é um uma para com não do da se por como mais dos das ao são você",
    "nl": "de het een en van is niet dat op te zijn voor met die er aan ook om bij als wordt naar dit deze hoe",
    "sv": "och att det som en på är av för med den till inte har de ett om var jag men från kan eller hur vad",
    "da": "og at det som en på er af for med den til ikke har de et om var jeg men fra kan eller hvordan hvad",
    "no": "og å det som en på er av for med den til ikke har de et om var jeg men fra kan eller hvordan hva",
    "fi": "ja on ei se että oli hän mutta ovat kun niin myös joka tai jos voi mitä sen kuin ovat ole olla mikä",
    "pl": "i w na z się nie jest do to że o jak co po dla od za są przez jako ma tym czy które oraz",
    "cs": "a v se na je že s z do o to jako jsou pro by ale není po tak podle nebo jeho který co při",
    "ro": "și de la în a cu pe este un o care nu să din pentru că mai sunt ce prin au fi sau cum",
    "tr": "ve bir bu da de için ile olarak çok daha ne gibi olan değil en var kadar sonra ise mi nasıl veya",
    "hu": "a az és hogy nem is egy van ez meg de csak el mint már vagy volt ha amely ami kell lehet",
    "id": "yang dan di untuk dengan ini dari dalam tidak pada adalah itu akan ke atau juga bisa karena oleh saya apa",
    "vi": "và của là có không được trong cho một các với này những để người khi đã từ đến như cũng bạn",
    "ru": "и в не на что с как это по к но из у за от так для же или был есть чтобы его при",
    "uk": "і в не на що з як це до та у за від для але є його або чи були бути про при який",
    "bg": "и в на не да се за от с е че по са като това но или при до ще има така който",
    "ar": "في من على أن إلى هذا عن مع التي ما هو لا هذه كان أو ذلك هي الذي كل قد",
    "fa": "و در به از که این را با است برای آن یک های می تا شود خود هم بر شده",
    "ur": "کے میں کی ہے اور سے کا کو پر نے یہ کہ ہیں تھا بھی ایک اس ہو کر نہیں",
}  # fmt: skip
"""ISO 639-1 code -> some of the most frequent words. Two languages may share many: those that only one has decide."""

SCRIPTS = (
    ("ja", "\u3040-\u30ff"),
    ("ko", "\u1100-\u11ff\uac00-\ud7af"),
    ("zh", "\u4e00-\u9fff"),
    ("el", "\u0370-\u03ff"),
    ("he", "\u0590-\u05ff"),
    ("hi", "\u0900-\u097f"),
    ("bn", "\u0980-\u09ff"),
    ("ta", "\u0b80-\u0bff"),
    ("te", "\u0c00-\u0c7f"),
    ("th", "\u0e00-\u0e7f"),
    ("ka", "\u10a0-\u10ff"),
    ("hy", "\u0530-\u058f"),
)
"""Language -> letters that it alone writes in, or that decide: Chinese letters with kana among them are Japanese."""

_LOOKED_AT = 2_000
"""Characters of a text: more do not make it clearer."""
_FEWEST_HITS, _LEAST_SHARE, _LEAD = 2, 0.15, 1.25
"""Frequent words that must be there, their share of all words, and how far ahead of the next language's they are."""
_SCRIPT_SHARE = {"ja": 0.1}
"""Of all letters, more than this in a script that one language has; 0.3 for the others, which have no second one."""
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_SCRIPTS = tuple((code, re.compile(f"[{letters}]")) for code, letters in SCRIPTS)


def _codes_of_words() -> dict[str, list[str]]:
    codes: dict[str, list[str]] = {}
    for code, words in FREQUENT.items():
        for word in dict.fromkeys(words.split()):
            codes.setdefault(word, []).append(code)
    return codes


_OF_WORD = _codes_of_words()


def language_of(text: str) -> str | None:
    """Its ISO 639-1 code; None where that cannot be told."""
    text = _CODE.sub(" ", text[:_LOOKED_AT])
    if not text.isascii() and (by_script := _by_script(text)):
        return by_script
    words = _WORD.findall(text.lower())
    hits: Counter[str] = Counter()
    scores: dict[str, float] = {}
    for word in words:
        codes = _OF_WORD.get(word, ())
        hits.update(codes)
        for code in codes:  # a word of one language tells more than one of four
            scores[code] = scores.get(code, 0.0) + 1 / len(codes)
    first, second = (*sorted(scores, key=scores.__getitem__, reverse=True), "", "")[:2]
    if hits[first] < max(_FEWEST_HITS, _LEAST_SHARE * len(words)):
        return None
    return first if scores[first] >= _LEAD * scores.get(second, 0.0) else None


def _by_script(text: str) -> str | None:
    letters = sum(map(str.isalpha, text))
    for code, pattern in _SCRIPTS:
        found = len(pattern.findall(text))
        if letters and found > letters * _SCRIPT_SHARE.get(code, 0.3) and found > 1:
            return code
    return None
