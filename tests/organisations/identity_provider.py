"""A small OpenID Connect provider, run as a process of its own: `python identity_provider.py`.

Prints its port.

Signs in whoever `POST /__control__` says, with the faults it names. It knows one client, and the redirect
addresses that `redirect_uris` names (None: any). With `leads_to` it is hostile: its sign-in page sends the
browser on to that address, at another provider, with the state that it was given. `GET /__received__` has the
codes that its token endpoint was sent, and the paths that were asked for.
"""

import base64
import hashlib
import json
import secrets
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT_ID, CLIENT_SECRET = "koppel", "a secret: with %"
KEY, OTHER_KEY = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
STATE: dict[str, Any] = {"claims": {}, "fault": "", "announces": False, "redirect_uris": None, "leads_to": ""}
STATE["signed_in_ago"] = 0
CODES: dict[str, dict[str, str]] = {}
RECEIVED: list[str] = []
PATHS: list[str] = []


class Provider(BaseHTTPRequestHandler):
    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        PATHS.append(parts.path)
        if parts.path == "/.well-known/openid-configuration":
            issuer = "http://elsewhere.test" if STATE["fault"] == "issuer" else self.issuer
            ends = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
            strange = {"no text": {"jwks_uri": 5}, "port": {"token_endpoint": "http://127.0.0.1:99999/token"}}
            metadata = {"issuer": issuer, **{key: self.issuer + path for key, path in ends.items()}}
            metadata["authorization_response_iss_parameter_supported"] = STATE["announces"]
            self._say(metadata | strange.get(STATE["fault"], {}))
        elif parts.path == "/keys":
            key = OTHER_KEY if STATE["fault"] == "rotated" else KEY
            public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
            padding = "x" * 600_000 if STATE["fault"] == "huge keys" else ""
            self._say({"keys": [{**public, "kid": "one", "use": "sig"}], "padding": padding})
        elif parts.path == "/__received__":
            self._say({"codes": RECEIVED, "paths": PATHS})
        elif STATE["leads_to"]:
            self._lead(f"{STATE['leads_to']}&{urlencode({'state': query['state']})}")
        elif STATE["redirect_uris"] is not None and query["redirect_uri"] not in STATE["redirect_uris"]:
            self._say({"error": "redirect_uri_mismatch"}, 400)
        else:
            self._lead(query["redirect_uri"] + "?" + urlencode(self._answer(query)))

    def _answer(self, request: dict[str, str]) -> dict[str, str]:
        code = secrets.token_urlsafe(8)
        CODES[code] = request
        issuer = {
            "no iss": {},
            "other iss": {"iss": "https://login.elsewhere.test"},
            "empty iss": {"iss": ""},
        }
        named = issuer.get(STATE["fault"], {"iss": self.issuer} if STATE["announces"] else {})
        return {"code": code, "state": request["state"], **named}

    def _lead(self, address: str) -> None:
        self.send_response(302)
        self.send_header("Location", address)
        self.end_headers()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/__control__":
            STATE.update(json.loads(body))
            self._say({})
            return
        form = {key: values[0] for key, values in parse_qs(body).items()}
        RECEIVED.append(form.get("code", ""))
        pair = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        if [unquote(one) for one in pair.split(":")] != [CLIENT_ID, CLIENT_SECRET]:
            self._say({"error": "invalid_client"}, 401)
            return
        authorization_request = CODES.pop(form.get("code", ""), None)
        proof = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(proof).rstrip(b"=").decode()
        if (
            authorization_request is None
            or authorization_request["code_challenge"] != challenge
            or authorization_request["redirect_uri"] != form["redirect_uri"]
        ):
            self._say({"error": "invalid_grant"}, 400)
            return
        self._say(
            {"access_token": "x", "token_type": "Bearer", "id_token": self._id_token(authorization_request)}
        )

    def _id_token(self, authorization_request: dict[str, str]) -> str:
        now, fault = int(time.time()), STATE["fault"]
        claims = {
            "iss": self.issuer,
            "aud": "somebody-else" if fault == "audience" else CLIENT_ID,
            "iat": now,
            "exp": now - 600 if fault == "expired" else now + 60,
            "nonce": {"nonce": "another", "strange nonce": "één"}.get(fault, authorization_request["nonce"]),
            **({} if fault == "no auth_time" else {"auth_time": now - STATE["signed_in_ago"]}),
            **STATE["claims"],
        }
        if fault in ("azp", "no azp"):
            claims["aud"] = [CLIENT_ID, "another"]
        if fault in ("azp", "lone azp"):
            claims["azp"] = "another"
        if fault == "issuer of token":
            claims["iss"] = "https://login.elsewhere.test"
        if fault == "long subject":
            claims["sub"] = str(claims["sub"]) * 300
        if fault == "unsigned":
            return jwt.encode(claims, None, algorithm="none", headers={"kid": "one"})
        if fault == "symmetric":
            return jwt.encode(claims, "k" * 64, algorithm="HS256", headers={"kid": "one"})
        return jwt.encode(
            claims,
            OTHER_KEY if fault in ("key", "rotated") else KEY,
            algorithm="RS256",
            headers={"kid": "one"},
        )

    def _say(self, what: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Requests are not what the test tells."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
