"""The encoding of a text, seen from its bytes. What a file says about it is often wrong: `#FORMAT PC8` means
CP437, and programs write anything else under the same label.
"""

import re
import unicodedata
from itertools import islice

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


_UTF_16 = {b"#\0": "utf-16-le", b"\r\0": "utf-16-le", b"\n\0": "utf-16-le", b"<\0": "utf-16-le"}
_UTF_16 |= {start[::-1]: "utf-16-be" for start in list(_UTF_16)}
_MISREAD = re.compile(r"\ufffd|Ã[¤¥¶…„–©¼¸¦]|├[ñÑÂñåäö¶©╝]|\w[„”†][a-zåäö]|\w”\w|õ[rd]")
"""å, ä, ö, é, ü, ø and æ after a text was decoded wrongly, and stored so, before it came into the file."""


def decode_as(raw: bytes, encoding: str) -> str:
    """Return the text in this encoding, composed (NFC) and without a byte order mark."""
    return unicodedata.normalize("NFC", raw.decode(encoding, errors="replace")).removeprefix("\ufeff")


def detect_encoding(raw: bytes) -> str:
    """Return Python's name of the encoding: UTF-16 and UTF-8 prove themselves, else see `likeliest`."""
    if encoding := unicode_start(raw):
        return encoding
    if raw.isascii():
        return "ascii"
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return likeliest(words_of(raw))
    return "utf-8"


def unicode_start(raw: bytes) -> str:
    """Return the Unicode encoding that the first bytes prove; '' when they prove none."""
    if raw.startswith(b"\xff\xfe"):
        return "utf-16-le"
    if raw.startswith(b"\xfe\xff"):
        return "utf-16-be"
    if raw.startswith(b"\xef\xbb\xbf"):
        return "utf-8"
    return _UTF_16.get(raw[:2], "")


def likeliest(words: list[bytes]) -> str:
    """Return the one of `CANDIDATES` in which words with bytes above 127 look most like words."""
    return max(CANDIDATES, key=lambda name: sum(_plausibility(word, name) for word in words))


def words_of(raw: bytes, count: int = SAMPLE_WORDS) -> list[bytes]:
    """Return the first words that have bytes above 127."""
    return [match[0] for match in islice(_WORDS.finditer(raw), count)]


def is_misread(text: str) -> bool:
    """Return whether a text shows letters that were decoded wrongly before: `Ã¤` for ä, `Ink”p` for Inköp."""
    return not text.isascii() and _MISREAD.search(text) is not None


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
