"""The fields of a line of a SIE file."""

import re

_FIELD = re.compile(
    r"[ \t\x00]+"
    r'|"(?:[^"\\]|\\.|""|"(?=[^\W\d_][^"]*"))*("|\\?\Z)'
    r'|\{((?:"(?:[^"\\]|\\.)*"|[^}])*)(\}|\Z)'
    r'|(?:[^ \t\x00"{]|(?<=[^\W\d_])"(?=[^\W\d_]))+'
)
_FIRST_GROUP = re.compile(r"[-+\u2212(]?\d{1,3}", re.ASCII)
_MORE_GROUPS = re.compile(r"\d{3}", re.ASCII)
_LAST_GROUP = re.compile(r"\d{3}[.,]\d{1,2}\)?-?", re.ASCII)


class Braces(str):
    """A field that stood in `{…}`: the objects of a line. The text is what stood between them."""

    __slots__ = ()


class Brace(str):
    """A brace that is alone, outside quotation marks: `{` or `}`."""

    __slots__ = ()


def split_fields(line: str) -> tuple[list[str], bool]:
    """Return the fields, and whether a quotation mark was never closed.

    Blanks separate fields, quotation marks keep blanks together, a backslash or a second quotation mark
    escapes one, `{…}` is one field. One before a letter is a character where another follows: some programs
    write `"F"rskott"` for a letter that they lost. A brace that is alone is a `Brace`.
    """
    fields: list[str] = []
    is_open = False
    for match in _FIELD.finditer(line):
        text = match[0]
        if text[0] in " \t\0":
            continue
        if text[0] == '"':
            is_closed = match[1] == '"'
            is_open = is_open or not is_closed
            fields.append(_unescape(text[1:-1] if is_closed else text[1:]))
        elif text[0] == "{":
            fields.append(Braces(match[2]) if match[3] else Brace("{"))
            if not match[3] and match[2].strip():
                fields += split_fields(match[2].replace("{", " "))[0]
        else:
            fields.append(Brace(text) if text == "}" else text)
    return fields, is_open


def _unescape(text: str) -> str:
    return re.sub(r'\\(["\\])|""', lambda match: match[1] or '"', text)


def join_groups(fields: list[str]) -> list[str]:
    """Return the fields with an amount that was written with blanks and without quotation marks, `1 234
    567,50`, as one.
    """
    if not fields or not _FIRST_GROUP.fullmatch(fields[0]):
        return fields
    end = 1
    while end < len(fields) and _MORE_GROUPS.fullmatch(fields[end]):
        end += 1
    if end < len(fields) and _LAST_GROUP.fullmatch(fields[end]):
        return ["".join(fields[: end + 1]), *fields[end + 1 :]]
    return fields
