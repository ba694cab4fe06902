# ruff: noqa: E501 - markup
"""The pages of the sandbox's Visma Connect. They identify themselves as a sandbox."""

from collections.abc import Iterable, Mapping
from html import escape

from aiohttp import web

STYLE = """
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}body{margin:0;display:grid;place-items:center;min-height:100vh;
background:light-dark(#eef2f6,#11161c);color:light-dark(#16202a,#e8edf2)}main{width:min(26rem,92vw);padding:2rem;border-radius:.75rem;
background:light-dark(#fff,#1b232c);box-shadow:0 8px 30px #0003}h1{font-size:1.35rem;margin:0 0 .5rem}label{display:block;margin:.9rem 0 .2rem}
input:not([type=radio]),select{width:100%;box-sizing:border-box;padding:.55rem;font:inherit;border:1px solid #77889a;border-radius:.4rem;background:transparent;color:inherit}
button{font:inherit;padding:.6rem 1.2rem;margin:1.2rem .5rem 0 0;border-radius:.4rem;border:1px solid #1d5fa8;background:#1d5fa8;color:#fff;cursor:pointer}
button.quiet{background:transparent;color:inherit;border-color:#77889a}.error{color:light-dark(#a3120a,#ff9d94)}small{color:light-dark(#4a5968,#a9b6c3)}ul{padding-left:1.2rem}
"""


def page(title: str, body: str, status: int = 200) -> web.Response:
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{STYLE}</style><main><h1>{escape(title)}</h1>{body}"
        "<p><small>This is a sandbox that plays Visma Connect. Nothing here leaves this machine.</small></p></main></html>"
    )
    headers = {"Cache-Control": "no-store", "X-Frame-Options": "DENY"}
    return web.Response(text=text, content_type="text/html", status=status, headers=headers)


def sign_in(request_id: str, email: str, error: str = "") -> web.Response:
    error_html = f'<p class="error" role="alert">{escape(error)}</p>' if error else ""
    return page(
        "Sign in to Visma",
        f'{error_html}<form method="post" action="/account/login"><input type="hidden" name="request" value="{escape(request_id)}">'
        f'<label for="username">User name</label><input id="username" name="username" type="email" autocomplete="username"'
        f' value="{escape(email)}" required autofocus><label for="password">Password</label><input id="password" name="password"'
        f' type="password" autocomplete="current-password" required><button>Sign in</button></form>'
        "<p><small>User demo@sandbox.example, password sandbox.</small></p>",
        200 if not error else 401,
    )


def selector(request_id: str, companies: Iterable[tuple[str, str]]) -> web.Response:
    options = "".join(f'<option value="{escape(key)}">{escape(name)}</option>' for key, name in companies)
    return page(
        "Select a company",
        f'<form method="post" action="/account/context"><input type="hidden" name="request" value="{escape(request_id)}">'
        f'<label for="tenant">Company</label><select id="tenant" name="tenant" size="10" required>{options}</select>'
        "<button>Continue</button></form>",
    )


def consent(request_id: str, app: str, user: str, scopes: Iterable[str]) -> web.Response:
    items = "".join(f"<li>{escape(scope)}</li>" for scope in scopes)
    return page(
        f"{app} asks for access",
        f"<p>Signed in as {escape(user)}.</p><ul>{items}</ul>"
        f'<form method="post" action="/consent"><input type="hidden" name="request" value="{escape(request_id)}">'
        '<button name="answer" value="allow">Allow</button><button class="quiet" name="answer" value="cancel">Cancel</button></form>',
    )


def post_back(redirect_uri: str, fields: Mapping[str, str]) -> web.Response:
    """Return the page of `response_mode=form_post`: a form that submits itself."""
    inputs = "".join(
        f'<input type="hidden" name="{escape(key)}" value="{escape(value)}">' for key, value in fields.items()
    )
    return page(
        "One moment",
        f'<form method="post" action="{escape(redirect_uri)}">{inputs}<button>Continue</button></form>'
        "<script>document.forms[0].submit()</script>",
    )
