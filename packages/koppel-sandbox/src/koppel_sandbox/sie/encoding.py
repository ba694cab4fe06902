"""The encoding of a SIE file, seen from its bytes: `#FORMAT PC8` means CP437, and programs write anything
else under the same label.
"""

import re
import unicodedata

NEVER = -1_000_000
SAMPLE_WORDS = 5000
CANDIDATES = ("utf-8", "cp437", "cp1252", "cp850")
"""Where two fit equally well the first one is taken; CP850 differs from CP437 in ø, Ø and capitals with
accents.
"""
_WORDS = re.compile(rb"[\x21-\x7e]*[\x80-\xff][\x21-\xff]*")
_LETTERS = frozenset("àáâãäåæçèéêëìíîïñòóôõöøœùúûüýÿšžßÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØŒÙÚÛÜÝŸŠŽðÐþÞ")
_SIGNS = frozenset("§°´½¼¾²³€£«»·–—‘’“”„…•©®±µ\xa0¤")
_RARE = frozenset("ÐÞÃÕÿŸðþãõ")
"""Letters that stand in names much less often than another reading of their byte."""


def decode(raw: bytes) -> str:
    """Return the text of a file, composed (NFC) and without a byte order mark."""
    return unicodedata.normalize("NFC", _decode(raw)).removeprefix("\ufeff")


def _decode(raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace")
    if raw[:2] in (b"#\0", b"\0#", b"\r\0", b"\0\r", b"\n\0", b"\0\n"):
        return raw.decode("utf-16-le" if raw[1] == 0 else "utf-16-be", errors="replace")
    if raw.startswith(b"\xef\xbb\xbf") or raw.isascii():
        return raw.decode("utf-8", errors="replace")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        words = [match[0] for _number, match in zip(range(SAMPLE_WORDS), _WORDS.finditer(raw), strict=False)]
    best = max(CANDIDATES, key=lambda name: sum(_plausibility(word, name) for word in words))
    return raw.decode(best, errors="replace")


def _plausibility(word: bytes, encoding: str) -> int:
    """Return how much a word looks like one of the Nordic countries or Western Europe in this encoding."""
    text = unicodedata.normalize("NFC", word.decode(encoding, errors="replace"))
    score = 0
    for before, letter, after in zip(" " + text, text, text[1:] + " ", strict=False):
        if letter.isascii():
            continue
        within = before.isalpha() or after.islower()
        if letter in _LETTERS:
            score += 1 if letter in _RARE else 3
            # mÄn and Åkeriø are no words; ÅKERI, Ås and åkeri are.
            score -= 4 if letter.isupper() and before.islower() else 0
            score -= 4 if letter.islower() and before.isupper() and after.isupper() else 0
        elif letter in _SIGNS:
            score -= 2 if within else 0
        else:
            score -= 4
    return score
