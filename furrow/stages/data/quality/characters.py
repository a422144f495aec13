"""Characters that no text has: control characters, what a wrong encoding leaves behind, and what nobody sees."""

from __future__ import annotations

import re
import unicodedata

CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Category Cc without tab and line ends."""
INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069]")
_SPEAKS = re.compile(r"[^\W_]")
"""Letters and digits of any script."""

_CP1252 = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
_NEXT = f"[\x80-\xbf{_CP1252}]"
"""What a byte 0x80..0xBF, which goes on with a UTF-8 letter, is read as."""
MOJIBAKE = re.compile(
    rf"(?<![A-ZÀ-Þ])[ÂÃ]{_NEXT}|[ÂÃ]{_NEXT}(?=[a-zà-ÿ])"  # Latin letters and signs; `IRMÃ”` in quotes is Portuguese
    rf"|(?:[Ã-ß]{_NEXT}){{2,}}"  # Greek, Cyrillic, Hebrew, Arabic: one alone may be `CAFÉ”`
    rf"|â€{_NEXT}|â‚¬|â„¢"  # quotes, dashes, the euro
    rf"|(?:[à-ï]{_NEXT}{{2}}){{2,}}|ï»¿"  # Chinese, Japanese, Indian: one alone may be `mangé…»`
    rf"|ðŸ{_NEXT}{{2}}"  # emoji
)
MARKUP = re.compile(
    r"&(?:amp|nbsp|lt|gt|quot|apos|#\d{2,5}|#x[0-9a-fA-F]{2,4});|<br ?/?>|</(?:p|div|span|td|li|font|a)>"
)


def control_character(text: str) -> str | None:
    """Why, where there is one."""
    if text.isprintable():  # which no control character is; goes through the text at 1 ns a character
        return None
    found = CONTROL.search(text)
    return f"holds the control character U+{ord(found[0]):04X}" if found else None


def replacement_character(text: str) -> str | None:
    return "holds the replacement character U+FFFD" if "\ufffd" in text else None


def invisible_character(text: str) -> str | None:
    if text.isascii():
        return None
    found = INVISIBLE.search(text)
    return f"holds the invisible character U+{ord(found[0]):04X}" if found else None


def mojibake(text: str) -> str | None:
    if text.isascii() or not MOJIBAKE.search(text):
        return None
    return "holds UTF-8 that was read as Windows-1252"


def markup(text: str) -> str | None:
    if "&" not in text and "<" not in text:
        return None
    return "holds remains of a web page" if MARKUP.search(text) else None


def says_nothing(text: str) -> bool:
    """Whether there is no letter, digit or symbol (emoji, +, =) in it; punctuation and spaces say nothing."""
    if _SPEAKS.search(text):
        return False
    return not any(unicodedata.category(letter)[0] in "LNS" for letter in text)
