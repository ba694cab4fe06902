"""The root URLconf: includes each app's `urls` under its prefix."""

from django.urls import URLPattern, include, path

from koppel.administrations.urls import issue_urlpatterns
from koppel.api.v1 import api
from koppel.kit.web import paths
from koppel.kit.web.decorators import outside_transaction
from koppel.organisations.urls import account_urlpatterns
from koppel.organisations.views import operators, single_sign_on
from koppel.organisations.views.invitations import accept_invitation
from koppel.sync.urls import import_urlpatterns
from koppel.web import views
from koppel.web.auth import replacement_views

CALL_THE_VENDOR = ("connection_test", "email_domain_check")
"""Operations of the API that call out of the installation and open their own transactions."""

api_urls = api.urls
for pattern in api_urls[0]:
    if isinstance(pattern, URLPattern) and pattern.name in CALL_THE_VENDOR:
        outside_transaction(pattern.callback)

handler400 = "koppel.web.views.bad_request"
handler500 = "koppel.web.views.server_error"
urlpatterns = [
    path("language", views.choose_language, name="language"),
    path(paths.ACCOUNTS[1:], include("koppel.web.auth.urls")),
    path(f"{paths.API[1:]}v1/", api_urls),
    path("connections/new/", include("koppel.onboarding.urls")),
    path("connections/", include("koppel.connections.urls")),
    path("administrations/", include("koppel.administrations.urls")),
    path("administrations/<int:administration_id>/", include("koppel.books.urls")),
    path("administrations/<int:administration_id>/", include("koppel.sync.urls")),
    path("imports/", include((import_urlpatterns, "imports"))),
    path("organisation/webhooks/", include("koppel.notifications.webhooks.urls")),
    path("organisation/", include("koppel.organisations.urls")),
    path("invitation/<str:token>/", accept_invitation, name="invitation"),
    path("sign-in/", single_sign_on.choose_provider, name="sign_in_choose"),
    path("sign-in/<int:provider_id>/", single_sign_on.begin_sign_in, name="sign_in_through"),
    path(
        "sign-in/<int:provider_id>/callback", single_sign_on.complete_sign_in, name="sign_in_redirect_address"
    ),
    path("sign-in/<int:provider_id>/link", single_sign_on.link_sign_in, name="sign_in_link"),
    path("operator/", operators.list_organisations, name="operator"),
    path("operator/enter", operators.enter_organisation, name="operator_enter"),
    path("operator/leave", operators.leave_organisation, name="operator_leave"),
    path("operator/replacement", replacement_views.confirm, name="operator_replacement"),
    path("replacement/", replacement_views.request_replacement, name="replacement"),
    path("replacement/<str:token>/", replacement_views.show_request, name="replacement_request"),
    path("replacement/<str:token>/grants", replacement_views.list_grants, name="replacement_grants"),
    path("account/api/", include("koppel.api.urls")),
    path("account/", include((account_urlpatterns, "account"))),
    path("registers/", include("koppel.company_registers.urls")),
    path("notifications/", include("koppel.notifications.urls")),
    path("issues/", include((issue_urlpatterns, "issues"))),
    path("", include("koppel.web.urls")),
]
