"""Addresses below `/organisation/`, and below `/account/` for a person's own pages."""

from django.urls import path

from koppel.organisations.views import (
    account,
    branding,
    divisions,
    email_domains,
    invitations,
    organisation,
    people,
    preferences,
    security,
    templates,
    tokens,
)

app_name = "organisations"
urlpatterns = [
    path("people/", people.list_people, name="people"),
    path("people/invite/", invitations.invite_person, name="invite"),
    path("people/invite/many/", invitations.invite_people, name="invite_many"),
    path(
        "people/invitations/<int:invitation_id>/resend",
        invitations.resend_invitation,
        name="resend_invitation",
    ),
    path(
        "people/invitations/<int:invitation_id>/revoke",
        invitations.revoke_invitation,
        name="revoke_invitation",
    ),
    path("people/<int:membership_id>/", people.show_person, name="person"),
    path("people/<int:membership_id>/hand-over", people.hand_over, name="hand_over"),
    path("people/<int:membership_id>/end-sessions", people.end_sessions, name="end_sessions"),
    path("people/<int:membership_id>/second-step", people.reset_second_step, name="reset_second_step"),
    path(
        "people/<int:membership_id>/sign-in/<int:link_id>/approve", people.approve_link, name="approve_link"
    ),
    path("people/<int:membership_id>/sign-in/<int:link_id>/reject", people.reject_link, name="reject_link"),
    path(
        "people/<int:membership_id>/tokens/<int:token_id>/revoke", people.revoke_token, name="revoke_token_of"
    ),
    path("divisions/", divisions.list_divisions, name="divisions"),
    path("divisions/<int:division_id>/", divisions.show_division, name="division"),
    path("divisions/<int:division_id>/merge", divisions.merge_division, name="division_merge"),
    path("templates/", templates.list_templates, name="templates"),
    path("templates/<int:template_id>/", templates.show_template, name="template"),
    path("templates/<int:template_id>/merge", templates.merge_template, name="template_merge"),
    path("security/", security.show_security, name="security"),
    path("security/provider", security.configure_provider, name="provider"),
    path("security/provider/prepare", security.prepare_provider, name="prepare_provider"),
    path("security/provider/off", security.disable_provider, name="disable_provider"),
    path("security/provider/test", security.test_provider, name="test_provider"),
    path("security/provider/require", security.require_sso, name="require_sso"),
    path("security/provider/allow-others", security.allow_other_sign_ins, name="allow_other_sign_ins"),
    path("security/domains", security.add_domain, name="add_domain"),
    path("security/domains/<int:domain_id>/check", email_domains.check_domain, name="check_domain"),
    path("security/domains/<int:domain_id>/remove", email_domains.remove_domain, name="remove_domain"),
    path("security/support", security.grant_support, name="support"),
    path("security/support/withdraw", security.withdraw_support, name="withdraw_support"),
    path("settings/", organisation.show_settings, name="settings"),
    path("settings/branding", branding.change_branding, name="branding"),
    path("settings/branding/remove-logo", branding.remove_logo, name="remove_logo"),
    path("logo/<str:digest>", branding.show_logo, name="logo"),
    path("colour/<str:colour>", branding.show_colour, name="colour"),
]
account_urlpatterns = [
    path("sessions/", account.list_sessions, name="sessions"),
    path("preferences", preferences.save_preferences, name="preferences"),
    path("organisations/", account.choose_organisation, name="organisations"),
    path("second-step/", account.require_second_step, name="second_step_needed"),
    path("tokens/", tokens.list_tokens, name="tokens"),
    path("tokens/<int:token_id>/revoke", tokens.revoke_token, name="revoke_token"),
]
