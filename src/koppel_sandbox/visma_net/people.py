"""Who can sign in, which apps exist, and who reaches which companies."""

from dataclasses import dataclass, field

PASSWORD = "sandbox"  # noqa: S105 - shown on the sign-in page
CLIENT_SECRET = "koppel-demo-secret"  # noqa: S105 - known to the demo only


@dataclass
class User:
    """`reach` counts the companies, from the first one; None = all."""

    subject: str
    email: str
    name: str
    reach: int | None = None


@dataclass
class Client:
    """An app as registered in the developer portal. `mode` decides what its tokens reach."""

    client_id: str
    name: str
    mode: str
    secret: str = CLIENT_SECRET
    grace_seconds: int = 30
    access_seconds: int = 3600
    refresh_days: int = 180
    redirect_uris: list[str] = field(default_factory=list)


def users() -> dict[str, User]:
    people = (
        User("b6c7a3c2-7a50-4f0e-8f4c-0e4f6a2a0001", "demo@sandbox.example", "Demo Accountant"),
        User("b6c7a3c2-7a50-4f0e-8f4c-0e4f6a2a0002", "small@sandbox.example", "Small Reach", 1),
        User("b6c7a3c2-7a50-4f0e-8f4c-0e4f6a2a0003", "none@sandbox.example", "No Role", 0),
    )
    return {one.email: one for one in people}


def clients() -> dict[str, Client]:
    apps = (
        Client("isv_koppel_demo", "Koppel demo", "company_list"),
        Client("isv_koppel_tenant", "Koppel demo, company per sign-in", "company_per_sign_in"),
        Client("isv_koppel_service", "Koppel demo, service", "service"),
    )
    return {one.client_id: one for one in apps}
