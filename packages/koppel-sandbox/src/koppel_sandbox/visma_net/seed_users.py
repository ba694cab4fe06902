"""The users, the apps, and the companies that each user reaches."""

from dataclasses import dataclass, field

PASSWORD = "sandbox"  # noqa: S105 - shown on the sign-in page
CLIENT_SECRET = "koppel-demo-secret"  # noqa: S105 - known to the demo only


@dataclass(kw_only=True)
class User:
    """A user.

    `reach` is the number of companies on which the user has the API User role, from the first one; None: all.
    A change of role takes a while: `reach_before` applies until `reach_from` (seconds since 1970).
    """

    subject: str
    email: str
    name: str
    reach: int | None = None
    reach_before: int | None = None
    reach_from: float = 0.0

    def reach_at(self, now: float) -> int | None:
        return self.reach if now >= self.reach_from else self.reach_before


@dataclass(kw_only=True)
class Client:
    """An app as registered in the developer portal. `mode` decides what its tokens reach.

    `scopes` None: it may request every scope. `granted` narrows the scopes of tokens. `approved` are the
    tenants whose administrator approved a service app; None: all. `names_issuer`: authorisation responses
    carry `iss`. `rotating`: refresh tokens are used once; otherwise the same one is returned. `token_seconds`
    is the delay of the token endpoint's response.
    """

    client_id: str
    name: str
    mode: str
    secret: str = CLIENT_SECRET
    grace_seconds: int = 30
    access_seconds: int = 3600
    refresh_days: int = 180
    rotating: bool = True
    refresh_not_before_seconds: float = 0
    token_seconds: float = 0
    redirect_uris: list[str] = field(default_factory=list)
    scopes: list[str] | None = None
    granted: list[str] | None = None
    approved: list[str] | None = None
    names_issuer: bool = True


def users() -> dict[str, User]:
    people = (
        User(
            subject="b6c7a3c2-7a50-4f0e-8f4c-0e4f6a2a0001",
            email="demo@sandbox.example",
            name="Demo Accountant",
        ),
        User(
            subject="b6c7a3c2-7a50-4f0e-8f4c-0e4f6a2a0002",
            email="small@sandbox.example",
            name="Small Reach",
            reach=1,
        ),
        User(
            subject="b6c7a3c2-7a50-4f0e-8f4c-0e4f6a2a0003",
            email="none@sandbox.example",
            name="No Role",
            reach=0,
        ),
    )
    return {user.email: user for user in people}


def clients() -> dict[str, Client]:
    apps = (
        Client(client_id="isv_koppel_demo", name="Koppel demo", mode="company_list"),
        Client(
            client_id="isv_koppel_tenant", name="Koppel demo, company per sign-in", mode="company_per_sign_in"
        ),
        Client(client_id="isv_koppel_service", name="Koppel demo, service", mode="service"),
    )
    return {client.client_id: client for client in apps}
