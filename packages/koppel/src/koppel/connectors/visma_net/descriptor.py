"""Static facts about Visma.net: addresses, scopes, ways to consent."""

from datetime import timedelta

from django.utils.translation import gettext_lazy as _

from koppel.connector.contract import ConsentMode, Descriptor, Environment

COMPANY_LIST = "company_list"
COMPANY_PER_SIGN_IN = "company_per_sign_in"
SERVICE = "service"

READ_SCOPE = "vismanet_erp_interactive_api:read"
SCOPES = ("openid", "email", "profile", "tenants", "offline_access", READ_SCOPE)
SERVICE_SCOPES = ("vismanet_erp_service_api:read",)
TENANT_ID = r"(?<![0-9a-zA-Z-])[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![0-9a-zA-Z-])"

SERVICE_ACCOUNT = _(
    "Use a service account of your firm rather than your own: a connection uses the account "
    "that created it and stops when its user leaves."
)

DESCRIPTOR = Descriptor(
    key="visma_net",
    title="Visma.net",
    scopes=SCOPES,
    consent_modes=(
        ConsentMode(
            COMPANY_PER_SIGN_IN,
            _("One company per sign-in"),  # type: ignore[arg-type]
            _("Choose one company at each sign-in, then add the next one."),  # type: ignore[arg-type]
            is_one_company_per_sign_in=True,
            scopes=SCOPES,
            advice=SERVICE_ACCOUNT,  # type: ignore[arg-type]
        ),
        ConsentMode(
            SERVICE,
            _("Service, by tenant id"),  # type: ignore[arg-type]
            _(
                "No user account needed: the client approves Koppel in the Visma App Store, and you "
                "enter the tenant id."
            ),  # type: ignore[arg-type]
            is_by_company_id=True,
            company_id_pattern=TENANT_ID,
            company_id_title=_("Tenant ids"),  # type: ignore[arg-type]
            company_id_help=_(  # type: ignore[arg-type]
                "One company tenant per line, from Visma Admin → Company → Edit → Configuration → Tenant id. "
                "The tenant id of"
                " the customer, one level higher, does not work."
            ),
            scopes=SERVICE_SCOPES,
            advice=_(  # type: ignore[arg-type]
                "The most reliable method: no personal account is needed, so syncing continues when "
                "staff leave or change passwords."
            ),
            account_title=_("Visma.net service account"),  # type: ignore[arg-type]
        ),
        ConsentMode(
            COMPANY_LIST,
            _("Company list (sandbox only)"),  # type: ignore[arg-type]
            _(  # type: ignore[arg-type]
                "One sign-in reaches all companies of a user. Visma retired this in 2025; it shows the "
                "product with the sandbox."
            ),
            company_id_kind="context",
            scopes=SCOPES,
            advice=SERVICE_ACCOUNT,  # type: ignore[arg-type]
        ),
    ),
    environments=(
        Environment(
            "production",
            _("Production"),  # type: ignore[arg-type]
            {
                "identity": "https://connect.visma.com",
                "api": "https://api.finance.visma.net",
                "legacy": "https://integration.visma.net",
            },
            (COMPANY_PER_SIGN_IN, SERVICE),
        ),
        Environment(
            "sandbox",
            "Sandbox",
            {
                "identity": "http://127.0.0.1:8410",
                "api": "http://127.0.0.1:8410",
                "legacy": "http://127.0.0.1:8410",
            },
            (COMPANY_PER_SIGN_IN, SERVICE, COMPANY_LIST),
        ),
    ),
    setup_requirements=_("A Visma.net user with the role “API User” on each company."),  # type: ignore[arg-type]
    permissions_text=_("Read only. You can withdraw access at any time."),  # type: ignore[arg-type]
    identity_paths=("/API/resources/v1/context", "/v1/organization"),
    company_header=("ipp-company-id", "id"),
    # The lifetime of refresh tokens is chosen per app, in days, and not published: this assumes the shortest.
    keep_alive_within=timedelta(days=1),
    # `revokes_one_sign_in_only` stays False: Visma does not publish it, and by RFC 7009, section 2.1,
    # revocation may end all tokens of the same authorisation.
)
