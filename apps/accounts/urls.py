"""The pages of signing in, and no other page of allauth: no sign-up, no change of the e-mail address, no sign-in with a
key alone, no device that is trusted without its second factor."""

from allauth.account import views
from allauth.socialaccount import views as social
from django.urls import path, re_path

from apps.accounts.views import oidc, password_reset, second_factor, sessions

urlpatterns = [
    path("login/", views.login, name="account_login"),
    path("logout/", views.logout, name="account_logout"),
    path("oidc/staff/login/", oidc.login, {"provider_id": "staff"}, name="openid_connect_login"),
    path("oidc/staff/login/callback/", oidc.callback, {"provider_id": "staff"}, name="openid_connect_callback"),
    path("oidc/cancelled/", social.login_cancelled, name="socialaccount_login_cancelled"),
    path("inactive/", views.account_inactive, name="account_inactive"),
    path("reauthenticate/", second_factor.reauthenticate_by_password, name="account_reauthenticate"),
    path("password/change/", views.password_change, name="account_change_password"),
    path("password/reset/", views.password_reset, name="account_reset_password"),
    path("password/reset/done/", views.password_reset_done, name="account_reset_password_done"),
    re_path(
        r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        password_reset.from_key,
        name="account_reset_password_from_key",
    ),
    path(
        "password/reset/key/done/",
        views.password_reset_from_key_done,
        name="account_reset_password_from_key_done",
    ),
    path("sessions/", sessions.page, name="account_sessions"),
    path("sessions/end/", sessions.end, name="account_sessions_end"),
    path("2fa/", second_factor.index, name="mfa_index"),
    path("2fa/authenticate/", second_factor.authenticate, name="mfa_authenticate"),
    path("2fa/reauthenticate/", second_factor.reauthenticate, name="mfa_reauthenticate"),
    path("2fa/app/add/", second_factor.add_app, name="mfa_activate_totp"),
    path("2fa/app/remove/", second_factor.remove_app, name="mfa_deactivate_totp"),
    path("2fa/codes/", second_factor.codes, name="mfa_view_recovery_codes"),
    path("2fa/codes/renew/", second_factor.renew_codes, name="mfa_generate_recovery_codes"),
    path("2fa/codes/download/", second_factor.download_codes, name="mfa_download_recovery_codes"),
    path("2fa/keys/", second_factor.keys, name="mfa_list_webauthn"),
    path("2fa/keys/add/", second_factor.add_key, name="mfa_add_webauthn"),
    path("2fa/keys/reauthenticate/", second_factor.reauthenticate_by_key, name="mfa_reauthenticate_webauthn"),
    path("2fa/keys/<int:pk>/remove/", second_factor.remove_key, name="mfa_remove_webauthn"),
]
