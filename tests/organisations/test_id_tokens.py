"""Genuine and forged ID tokens; only the genuine one is accepted."""

import base64
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from koppel.organisations.sso.oidc import ProviderRefused, TokenIdentity, verify_id_token

ISSUER, CLIENT, NONCE = "https://login.firm.example", "koppel", "nonce-of-this-attempt"
KEY, OTHER_KEY = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def public_jwk(key: Any = KEY, **members: Any) -> dict[str, Any]:
    algorithm = (
        jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    )
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": "one", "use": "sig", **members}


KEY_SET = {"keys": [public_jwk()]}


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    honest = {"iss": ISSUER, "aud": CLIENT, "sub": "7", "iat": now, "exp": now + 60, "nonce": NONCE}
    return {name: value for name, value in (honest | changes).items() if value is not None}


def sign_payload(payload: dict[str, Any], key: Any = KEY, algorithm: str = "RS256", **header: Any) -> str:
    return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": "one", **header})


def unsigned(payload: dict[str, Any], algorithm: str) -> str:
    parts = [{"alg": algorithm, "kid": "one", "typ": "JWT"}, payload]
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
        + "."
    )


def hmac_signed(payload: dict[str, Any], secret: bytes) -> str:
    """PyJWT refuses to sign with a public key as secret, so the secret is wrapped here."""
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signing_input = unsigned(payload, "HS256").removesuffix(".")
    signature = base64.urlsafe_b64encode(algorithm.sign(signing_input.encode(), secret)).rstrip(b"=").decode()
    return f"{signing_input}.{signature}"


def verify(token: str, key_set: Any = None) -> TokenIdentity:
    return verify_id_token(token, KEY_SET if key_set is None else key_set, ISSUER, CLIENT, NONCE)


def refusal(token: str, key_set: Any = None) -> str:
    with pytest.raises(ProviderRefused) as refused:
        verify(token, key_set)
    return refused.value.code


def test_an_honest_token_is_accepted() -> None:
    token = sign_payload(claims(email="ada@firm.example", email_verified=True, name="Ada"))
    assert verify(token) == TokenIdentity(subject="7", email="ada@firm.example", name="Ada")


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_each_allowed_rsa_algorithm_is_accepted(algorithm: str) -> None:
    assert verify(sign_payload(claims(), algorithm=algorithm)).subject == "7"


def test_an_elliptic_curve_key_is_accepted() -> None:
    assert verify(sign_payload(claims(), EC_KEY, "ES256"), {"keys": [public_jwk(EC_KEY)]}).subject == "7"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None, 5, ["RS256"]])
def test_a_token_without_signature_is_refused(algorithm: Any) -> None:
    assert refusal(unsigned(claims(), algorithm)) == "token_refused"


@pytest.mark.parametrize("form", [Encoding.PEM, Encoding.DER], ids=["pem", "der"])
def test_the_public_key_is_no_shared_secret(form: Encoding) -> None:
    secret = KEY.public_key().public_bytes(form, PublicFormat.SubjectPublicKeyInfo)
    assert refusal(hmac_signed(claims(), secret)) == "token_refused"


def test_a_shared_secret_in_the_key_set_serves_nothing() -> None:
    secret = b"k" * 64
    member = {"kty": "oct", "kid": "one", "use": "sig", "k": base64.urlsafe_b64encode(secret).decode()}
    assert refusal(hmac_signed(claims(), secret), {"keys": [member]}) == "token_refused"
    assert refusal(hmac_signed(claims(), secret), {"keys": [member, public_jwk()]}) == "token_refused"


def test_a_key_inside_the_token_is_not_believed() -> None:
    token = sign_payload(claims(), OTHER_KEY, jwk=public_jwk(OTHER_KEY))
    assert refusal(token) == "token_refused"
    assert refusal(sign_payload(claims(), OTHER_KEY, jku="https://evil.example/keys")) == "token_refused"


@pytest.mark.parametrize(
    "payload",
    [
        {"iss": "https://login.elsewhere.example"},
        {"iss": ISSUER + "/"},
        {"iss": [ISSUER]},
        {"iss": None},
        {"aud": "another"},
        {"aud": ["another", "third"]},
        {"aud": []},
        {"aud": None},
        {"aud": [CLIENT, "another"]},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"azp": "another"},
        {"exp": lambda now: now - 600},
        {"exp": None},
        {"exp": lambda now: str(now + 600)},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"exp": True},
        {"iat": lambda now: now + 600},
        {"iat": None},
        {"nbf": lambda now: now + 600},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": ["7"]},
        {"sub": "7" * 256},
        {"sub": "7\0"},
    ],
    ids=lambda payload: next(iter(payload)),
)
def test_a_claim_that_does_not_hold_is_refused(payload: dict[str, Any]) -> None:
    now = int(time.time())
    changed = claims(**{name: value(now) if callable(value) else value for name, value in payload.items()})
    signing_input = unsigned(changed, "RS256").removesuffix(".")
    algorithm = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256)
    signature = base64.urlsafe_b64encode(algorithm.sign(signing_input.encode(), KEY)).rstrip(b"=").decode()
    assert refusal(f"{signing_input}.{signature}") == "token_refused"


@pytest.mark.parametrize("nonce", [None, "", "of-another-attempt", "één", [NONCE], {"is": NONCE}])
def test_a_token_of_another_attempt_is_refused(nonce: Any) -> None:
    assert refusal(sign_payload(claims(nonce=nonce))) == "other_nonce"


def test_clocks_may_differ_by_a_minute() -> None:
    now = int(time.time())
    assert verify(sign_payload(claims(iat=now + 45, exp=now - 45))).subject == "7"


def test_a_signature_of_another_key_is_refused() -> None:
    assert refusal(sign_payload(claims(), OTHER_KEY)) == "token_refused"


def test_an_unknown_or_strange_kid_is_refused() -> None:
    assert refusal(sign_payload(claims(), kid="two")) == "token_refused"
    assert refusal(sign_payload(claims(), kid="")) == "token_refused"


def test_a_token_without_kid_needs_a_single_key() -> None:
    token = jwt.encode(claims(), KEY, algorithm="RS256")
    assert verify(token).subject == "7"
    assert refusal(token, {"keys": [public_jwk(), public_jwk(OTHER_KEY, kid="two")]}) == "token_refused"


def test_two_keys_of_the_same_kid_are_refused() -> None:
    for keys in ([public_jwk(OTHER_KEY), public_jwk()], [public_jwk(), public_jwk(OTHER_KEY)]):
        assert refusal(sign_payload(claims()), {"keys": keys}) == "token_refused"


def test_a_rotated_key_is_accepted_and_a_withdrawn_one_is_not() -> None:
    old, new = sign_payload(claims()), sign_payload(claims(), OTHER_KEY, kid="two")
    during = {"keys": [public_jwk(), public_jwk(OTHER_KEY, kid="two")]}
    assert [verify(token, during).subject for token in (old, new)] == ["7", "7"]
    after = {"keys": [public_jwk(OTHER_KEY, kid="two")]}
    assert verify(new, after).subject == "7"
    assert refusal(old, after) == "token_refused"


def test_keys_for_encryption_or_another_algorithm_verify_nothing() -> None:
    for members in (
        {"use": "enc"},
        {"alg": "RS512"},
        {"key_ops": ["encrypt"], "use": None},
        {"kty": "RSA", "n": 5},
    ):
        assert refusal(sign_payload(claims()), {"keys": [public_jwk(**members)]}) == "token_refused"


def test_a_curve_does_not_serve_an_rsa_signature() -> None:
    assert refusal(sign_payload(claims()), {"keys": [public_jwk(EC_KEY)]}) == "token_refused"


def test_unknown_keys_do_not_affect_the_others() -> None:
    strange = [
        {"kty": "AKP", "kid": "post-quantum", "alg": "ML-DSA-44", "pub": "x"},
        {"kty": "RSA", "kid": "broken", "n": "?", "e": ""},
        {"kty": "EC", "kid": "curve", "crv": "brainpool", "x": "", "y": ""},
        {"kid": "nothing"},
    ]
    assert verify(sign_payload(claims()), {"keys": [*strange, public_jwk()]}).subject == "7"


def test_a_large_key_set_costs_no_time() -> None:
    others = [public_jwk(kid=f"key {number}") for number in range(20_000)]
    assert verify(sign_payload(claims()), {"keys": [*others, public_jwk()]}).subject == "7"
    assert refusal(sign_payload(claims(), kid="missing"), {"keys": others}) == "token_refused"


@pytest.mark.parametrize(
    "key_set",
    [None, [], {}, {"keys": None}, {"keys": {}}, {"keys": []}, {"keys": [5]}, {"keys": ["one"]}, "keys", 7],
)
def test_a_document_without_keys_is_refused(key_set: Any) -> None:
    with pytest.raises(ProviderRefused):
        verify_id_token(sign_payload(claims()), key_set, ISSUER, CLIENT, NONCE)


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b.c", "a.b.c.d.e", "é.é.é", "x" * 300_000], ids=lambda token: str(len(token))
)
def test_a_text_that_is_no_token_is_refused(token: str) -> None:
    assert refusal(token) == "token_refused"


def test_a_critical_extension_is_refused_and_an_unknown_header_is_not() -> None:
    assert refusal(sign_payload(claims(), crit=["must"], must=True)) == "token_refused"
    assert verify(sign_payload(claims(), org="firm", x5c=["A" * 2000])).subject == "7"
    assert refusal(sign_payload(claims(), x5c=["A" * 20_000])) == "token_refused"


def test_an_address_counts_only_when_the_provider_has_proved_it() -> None:
    for proved in (False, "true", 1, None):
        assert verify(sign_payload(claims(email="ada@firm.example", email_verified=proved))).email == ""
