"""Recognises secrets inside a text: labelled values, URLs that grant access, signed values, web tokens.

Every pattern takes linear time for any text: its repetitions are possessive or bounded.
"""

import re

REDACTED = "[redacted]"

_LABEL = (
    r"(?:(?:access_|refresh_|id_)?token|secret|passw(?:or)?d|passphrase|wachtwoord|credential|api[-_ ]?key"
    r"|(?:private|access|signing|encryption|vault|session)[-_]?keys?|authori[sz]ation|cookie|session_?id"
    r"|koppel_(?:session|browser|consent|csrf)|csrf|code_verifier|client_assertion)"
    r"(?![\w-]{0,40}(?:_count|_seconds|_at|_type|_endpoint)\b)(?!_id\b)[\w-]{0,40}+|(?<![a-z])pwd|(?<![a-z])pass"
)
"""Words whose value is a secret, with suffixes of the same name (`_hash`, `2`), but not facts about one."""
_HEADER = r"(?:(?:proxy-)?authorization|(?:set-)?cookie2?|x-[\w-]{0,40}(?:key|token|auth)[\w-]{0,20})"
_QUOTED = (
    r"[rb]?(?:\"(?:[^\"\\]|\\.)*+\"?|'(?:[^'\\]|\\.)*+'?|"
    r"\\{1,4}(?:\"[^\"\\]*+(?:\\{1,4}\"?)?|'[^'\\]*+(?:\\{1,4}'?)?))"
)
"""Up to the closing quote, or to the end. A quote may itself be escaped, in JSON within JSON."""
_END = r"[\s,;)}\]]|\\|\Z"
_BARE = rf"(?:[^\s\"'&,;\\]|[\"'](?!{_END})|[&,;](?!\s|\Z|[\"']|[\w.-]{{1,40}}=)|\\(?![nrt\"']))++"
"""Up to a blank, a closing quote, or the next `name=`."""
_SEPARATOR = (
    r"(?:\\{0,4}[\"'])?\s{0,4}(?:=>|[=:]|%3d)\s{0,4}|\\{0,4}[\"']\s{0,4},\s{0,4}(?=[rb]?\\{0,4}[\"'])"
)
_QUERY = r"(?:[\w.-]{0,40}(?:code|state|assertion)|key|sig|signature|otp|samlresponse)"

LABELLED = re.compile(
    rf"(?is)(?P<header>{_HEADER}\s{{0,4}}:\s{{0,4}})(?:{_QUOTED}|[^\r\n]++)"
    rf"|(?P<label>(?:{_LABEL})(?:{_SEPARATOR}))(?:{_QUOTED}|(?:(?:bearer|basic|token|digest)\s+)?{_BARE})"
    rf"|(?P<query>(?:[?&]|%3f|%26){_QUERY}(?:=|%3d))[^\s\"'&]++"
    r"|(?P<first>\bcode=)[^\s\"'&]{1,2048}+(?=&state=)|(?P<second>\bstate=)[^\s\"'&]{1,2048}+(?=&code=)"
    r"|(?P<answer>[\"']code\\{0,4}[\"']\s{0,4}:\s{0,4}\\{0,4}[\"'])(?=[^\"'\s\d]{0,60}\d)[^\"'\s]{16,}+"
    r"|(?P<scheme>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}+"
    r"|(?P<address>\w://[^\s/?#@:]*:)[^\s/?#]*(?=@)"
)
_SLASH = r"(?:/|%2f)"
ROUTE = re.compile(
    rf"(?i)(?P<route>{_SLASH}(?:invitation|replacement|unsubscribe|password{_SLASH}reset{_SLASH}key){_SLASH}+)"
    rf"(?!done{_SLASH}?(?:[\s\"'?]|\Z))[^\s\"'<>]++"
    rf"|(?P<flow>{_SLASH}(?:connections{_SLASH}new|onboarding{_SLASH}flows){_SLASH}+)[^\s/?#%\"'<>]++"
)
"""URLs that contain a secret. `tests/web/test_secrets_in_log.py` compares this with all URLs of Koppel."""
SELF_EVIDENT = re.compile(
    r"(?<![\w.~=-])[\w.~=-]*+(?::|%3[aA])[0-9A-Za-z]{5,8}(?::|%3[aA])[\w-]{27,}+"  # signed with a timestamp
    r"|(?<![\w.~=-])[\w.~=-]*+(?::|%3[aA])[\w-]{43}(?![\w-])"  # signed without a timestamp
    r"|(?<![\w.-])eyJ[\w-]{5,}+\.[\w-]{2,}+(?:\.[\w-]*+)*"  # a JSON web token
    r"|(?<![\w-])[0-9a-z]{1,13}-[0-9a-z]{6}-[0-9a-f]{32}(?![\w-])"  # the key of a password reset link
)
"""Secrets that are recognisable without a label."""
CUT = re.compile(
    r"(?i)(?P<scheme>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]++\Z|(?P<address>\w://[^\s/?#@:]*:)[^\s/?#@]++\Z"
    r"|(?P<signed>(?::|%3a)[0-9A-Za-z]{5,8}(?::|%3a))[\w-]++\Z|(?P<token>(?<![\w.-])eyJ)[\w-]*+(?:\.[\w-]*+)*\Z"
    r"|(?P<key>(?<![\w-])[0-9a-z]{1,13}-[0-9a-z]{6}-)[0-9a-f]{1,32}\Z|(?P<code>\b(?:code|state)=)[^\s\"'&]++\Z"
)
"""The remains of a secret at the end of a cut text."""
SERVER_ADDRESS = re.compile(
    r"(?i)((?:postgres(?:ql)?|smtps?|redis|amqps?|mysql)(?:\+\w{1,20})?://[^\s/@:]*:)(\S+)"
)
"""URLs of servers: a password in them may contain any character, so it ends at the last @."""
PERSONAL_NUMBER = re.compile(r"\b((?:18|19|20)?\d{2}[01]\d[0-3]\d)[-+]\d{4}\b")
CUT_PERSONAL_NUMBER = re.compile(r"\b((?:18|19|20)?\d{2}[01]\d[0-3]\d)[-+]\d{1,4}\Z")
"""The company number of a Swedish sole trader is a personal number: the date is kept, the rest redacted."""


def redacted_text(text: str, *, is_cut: bool = False) -> str:
    """Redact secrets in a text. `is_cut`: the original continues after its end."""
    text = SERVER_ADDRESS.sub(lambda match: _without_password(match, is_cut=is_cut), text)
    text = ROUTE.sub(_keep_the_label, text)
    text = LABELLED.sub(_keep_the_label, text)
    text = SELF_EVIDENT.sub(REDACTED, text)
    text = PERSONAL_NUMBER.sub(r"\1-****", text)
    if is_cut:
        text = CUT.sub(_keep_the_label, text)
        text = CUT_PERSONAL_NUMBER.sub(r"\1-****", text)
    return text


def _without_password(match: re.Match[str], *, is_cut: bool) -> str:
    label, rest = match.groups()
    if is_cut and match.end() == len(match.string):
        return str(label + REDACTED)
    _password, mark, behind = rest.rpartition("@")
    return f"{label}{REDACTED}@{behind}" if mark else match[0]


def _keep_the_label(match: re.Match[str]) -> str:
    """Keep the label, and the quotes around the value, so that JSON stays valid."""
    label = next(label for label in match.groups() if label)
    value = match[0][len(label) :]
    opening = re.match(r"[rb]?\\{0,4}[\"']", value)
    if opening is None:
        return label + REDACTED
    closing = opening[0].lstrip("rb")
    return (
        label
        + opening[0]
        + REDACTED
        + (closing if value.endswith(closing) and len(value) > len(closing) else "")
    )
