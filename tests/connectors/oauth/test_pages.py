"""The pages of OAuth: the way out by POST, the way back, and what each person sees."""

from io import StringIO
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount, SocialToken
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import Client, RequestFactory, override_settings
from django.urls import NoReverseMatch, resolve, reverse
from django.utils import timezone

from apps.accounts.models import BrowserSession, SecondPersonRequest, User
from apps.accounts.session_store import SessionStore
from apps.connectors.models import Authorisation, AuthorisationRequest, Connection
from apps.connectors.provider import CoinbaseProvider
from tests.factories.accounts import UserFactory
from tests.factories.oauth import SCOPES, OAuthSimulator, authorisation_of, authorise, decide

pytestmark = pytest.mark.django_db

CONNECT, CALLBACK = "/oauth/coinbase/connect", "/oauth/coinbase/callback"
LIST = "/admin/connectors/authorisation/"


@pytest.fixture
def browser(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


def form_action(response) -> list[str]:  # type: ignore[no-untyped-def]
    policy = {part.split()[0]: part.split()[1:] for part in response["Content-Security-Policy"].split("; ")}
    return list(policy["form-action"])


def test_only_the_page_that_leads_out_names_the_venue(venue: OAuthSimulator, browser: Client) -> None:
    page = browser.get(CONNECT)
    assert page.status_code == 200 and form_action(page) == ["'self'", venue.url]
    for scope in SCOPES:
        assert scope in page.content.decode()
    for path in ("/admin/", LIST, "/", "/admin/connectors/connection/"):
        assert form_action(browser.get(path)) == ["'self'"], path


def test_setting_out_is_a_post_and_nothing_in_the_address_widens_it(venue: OAuthSimulator, browser: Client) -> None:
    assert not AuthorisationRequest.objects.exists()
    browser.get(CONNECT)
    assert not AuthorisationRequest.objects.exists()
    widening = (
        "?scope=wallet:transactions:send&auth_params=scope%3Dx%26redirect_uri%3Dhttps://evil.example&process=login"
    )
    answer = browser.post(CONNECT + widening)
    asked = parse_qs(urlsplit(answer["Location"]).query)
    assert answer.status_code == 302 and answer["Location"].startswith(f"{venue.url}/oauth2/auth?")
    assert asked["scope"] == [" ".join(SCOPES)] and asked["redirect_uri"] == [venue.redirect_uri]
    assert asked["code_challenge_method"] == ["S256"] and "evil" not in answer["Location"]


def test_a_form_of_another_site_cannot_set_out(venue: OAuthSimulator, operator: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(operator)
    assert strict.post(CONNECT).status_code == 403


def test_the_whole_way(venue: OAuthSimulator, browser: Client) -> None:
    back = decide(browser.post(CONNECT)["Location"])
    answer = browser.get(CALLBACK, back)
    row = Authorisation.objects.get()
    assert (answer.status_code, answer["Location"]) == (303, f"{LIST}{row.pk}/change/")
    assert "no-store" in answer["Cache-Control"] and "Lax" in str(browser.cookies.output())
    page = browser.get(answer["Location"]).content.decode()
    assert "is connected, with everything that was asked for." in page and "works" in page
    for secret in (row.access_token.reveal(), row.refresh_token.reveal(), back["code"]):
        assert secret not in page
    # Nothing of it is in the session or in allauth's own tables.
    held = " ".join(str(SessionStore().decode(row.data)) for row in BrowserSession.objects.all())
    assert held
    assert "sim" not in held and "socialaccount" not in held
    assert not SocialToken.objects.exists() and not SocialAccount.objects.exists()
    again = browser.get(CALLBACK, back)
    assert again.status_code == 400 and "AUTHORISATION_STATE_UNKNOWN" in again.content.decode()


def test_what_the_person_left_out_is_said_in_words(venue: OAuthSimulator, browser: Client) -> None:
    back = decide(browser.post(CONNECT)["Location"], without=("wallet:buys:create",))
    page = browser.get(CALLBACK, back, follow=True).content.decode()
    assert "does not let Aika place and cancel orders." in page


def test_a_refusal_keeps_nothing_and_uses_the_state_up(venue: OAuthSimulator, browser: Client) -> None:
    back = decide(browser.post(CONNECT)["Location"], allow=False)
    assert back["error"] == "access_denied"
    page = browser.get(CALLBACK, back, follow=True).content.decode()
    assert "You refused at the venue. Nothing was kept." in page
    assert not Authorisation.objects.exists()
    assert browser.get(CALLBACK, back).status_code == 400


@pytest.mark.parametrize("who", ["nobody", "somebody else", "a trader"])
def test_who_did_not_set_out_does_not_arrive(
    venue: OAuthSimulator, browser: Client, trader: User, desk: object, who: str
) -> None:
    back = decide(browser.post(CONNECT)["Location"])
    other = Client()
    if who == "somebody else":
        other.force_login(UserFactory(username="opal", role="operator", desk=desk))
    elif who == "a trader":
        other.force_login(trader)
    answer = other.get(CALLBACK, back)
    assert answer.status_code == (400 if who == "somebody else" else 403)
    assert not Authorisation.objects.exists() and venue.oauth()["exchanges"] == 0
    assert browser.get(CALLBACK, back).status_code == 303


@pytest.mark.parametrize("values", [{}, {"state": "x"}, {"code": "y"}, {"state": "x", "code": "y" * 5000}])
def test_what_comes_back_without_having_gone_is_refused(
    venue: OAuthSimulator, browser: Client, values: dict[str, str]
) -> None:
    answer = browser.get(CALLBACK, values)
    assert answer.status_code == 400 and "y" * 50 not in answer.content.decode()


def test_a_lost_answer_is_said_and_can_be_begun_again(venue: OAuthSimulator, browser: Client) -> None:
    back = decide(browser.post(CONNECT)["Location"])
    venue.add_fault("oauth-token", "reset-after")
    answer = browser.get(CALLBACK, back)
    assert answer.status_code == 400 and "AUTHORISATION_REPLY_LOST" in answer.content.decode()
    assert browser.get(CALLBACK, decide(browser.post(CONNECT)["Location"])).status_code == 303


def test_a_trader_is_led_nowhere(venue: OAuthSimulator, client: Client, trader: User) -> None:
    client.force_login(trader)
    assert client.get(CONNECT).status_code == client.post(CONNECT).status_code == 403
    assert Client().get(CONNECT).status_code == 403


def test_without_an_application_the_page_says_what_to_set(browser: Client) -> None:
    page = browser.get(CONNECT)
    assert page.status_code == 400 and "COINBASE_CLIENT_ID" in page.content.decode()


def test_its_page_and_the_list_say_how_it_stands(browser: Client, operator: User) -> None:
    row = authorisation_of(operator, refresh_failures=2, granted_scopes=["wallet:user:read"])
    page = f"{LIST}{row.pk}/change/"
    said = {
        "works, though the last 2 refreshes failed": {},
        "Must be connected again": {"state": "RECONNECT_NEEDED", "state_reason": "The answer did not arrive."},
        "The answer did not arrive.": {},
        "Disconnected": {"state": "REVOKED", "state_reason": ""},
    }
    for words, change in said.items():
        Authorisation.objects.filter(pk=row.pk).update(**change)
        for path in (page, LIST):
            assert words in browser.get(path).content.decode(), (words, path)


def test_disconnecting_is_asked_and_then_done(venue: OAuthSimulator, browser: Client, operator: User) -> None:
    row = authorise(operator)
    assert "Disconnect" in browser.get(f"{LIST}{row.pk}/change/").content.decode()
    assert browser.get(f"{LIST}{row.pk}/disconnect/").status_code == 200
    row.refresh_from_db()
    assert row.state == "ACTIVE"
    page = browser.post(f"{LIST}{row.pk}/disconnect/", follow=True).content.decode()
    assert "the venue was asked to forget it" in page and "Disconnected" in page
    assert venue.oauth()["revocations"] == 2


def test_a_paper_connection_is_made_with_it(
    venue: OAuthSimulator, browser: Client, operator: User, desk: object
) -> None:
    row = authorise(operator)
    form = {"slug": "by-oauth", "name": "By OAuth", "desk": str(desk.pk)}  # type: ignore[attr-defined]
    assert 'name="confirmation"' not in browser.get(f"{LIST}{row.pk}/connection/").content.decode()
    answer = browser.post(f"{LIST}{row.pk}/connection/", form)
    made = Connection.objects.get(slug="by-oauth")
    assert answer["Location"] == f"/admin/connectors/connection/{made.pk}/change/"
    assert (made.environment, made.authorisation, made.is_active) == ("paper", row, True)
    assert browser.post(f"/admin/connectors/connection/{made.pk}/verify/", follow=True).status_code == 200
    made.refresh_from_db()
    assert made.verified_at is not None
    page = browser.get(f"/admin/connectors/connection/{made.pk}/change/").content.decode()
    assert "it stands on Sim Trader" in page and "no bearer is taken there" in page
    assert "new_secret" not in page and "key_name" not in page


def test_nobody_makes_a_connection_with_what_another_person_authorised(
    venue: OAuthSimulator, browser: Client, operator: User, desk: object
) -> None:
    other = UserFactory(username="opal", role="operator", desk=desk)
    row = authorisation_of(other)
    form = {"slug": "by-oauth", "name": "By OAuth", "desk": str(desk.pk)}  # type: ignore[attr-defined]
    page = browser.post(f"{LIST}{row.pk}/connection/", form).content.decode()
    assert "was authorised by somebody else" in page and not Connection.objects.exists()
    browser.force_login(other)
    browser.post(f"{LIST}{row.pk}/connection/", form)
    assert Connection.objects.get().authorisation == row


def test_a_live_connection_is_typed_and_needs_a_second_person(
    venue: OAuthSimulator, browser: Client, operator: User, desk: object
) -> None:
    row = authorisation_of(operator, api_base="https://api.coinbase.com")
    form = {"slug": "real", "name": "Real", "desk": str(desk.pk)}  # type: ignore[attr-defined]
    asked = browser.get(f"{LIST}{row.pk}/connection/").content.decode()
    assert "real money" in asked and 'name="confirmation"' in asked
    for said in ({}, *({"confirmation": text} for text in ("yes", "trade real money on", "trade real money on demo"))):
        refused = browser.post(f"{LIST}{row.pk}/connection/", {**form, **said}).content.decode()
        assert "Type &quot;trade real money on real&quot;" in refused
    assert not SecondPersonRequest.objects.exists()
    form["confirmation"] = " trade real  money on real"
    page = browser.post(f"{LIST}{row.pk}/connection/", form, follow=True).content.decode()
    assert "A second person has been asked" in page
    assert SecondPersonRequest.objects.count() == 1 and not Connection.objects.exists()


def test_the_link_of_the_command_works_for_its_person(venue: OAuthSimulator, browser: Client, operator: User) -> None:
    out = StringIO()
    call_command("oauth_url", "coinbase", "--user", operator.username, stdout=out, stderr=StringIO())
    back = decide(out.getvalue().strip())
    assert browser.get(CALLBACK, back).status_code == 303
    assert Authorisation.objects.get().person == operator


def command_without_a_name() -> tuple[str, str]:
    out, told = StringIO(), StringIO()
    call_command("oauth_url", "coinbase", stdout=out, stderr=told)
    return out.getvalue().strip(), told.getvalue()


def test_the_link_is_for_the_only_person_whose_work_it_is(
    venue: OAuthSimulator, browser: Client, operator: User, trader: User, admin_user: User
) -> None:
    """Who may do everything is asked for nothing while somebody has the role; who is not active, never."""
    UserFactory(username="left", role="operator", is_active=False)
    link, told = command_without_a_name()
    assert told.startswith(f"For {operator.shown_name},")
    assert browser.get(CALLBACK, decide(link)).status_code == 303
    operator.groups.clear()
    assert command_without_a_name()[1].startswith(f"For {admin_user.shown_name},")


def test_whoever_it_could_be_for_is_named_where_that_is_not_one(venue: OAuthSimulator, operator: User) -> None:
    other = UserFactory(username="ola", role="operator")
    with pytest.raises(CommandError, match=r"^Several people may manage connections: ola, otis\. Name one with --user"):
        command_without_a_name()
    User.objects.filter(pk__in=(operator.pk, other.pk)).update(is_active=False)
    with pytest.raises(CommandError, match="^Nobody active may manage connections"):
        command_without_a_name()
    assert not AuthorisationRequest.objects.exists()


@pytest.mark.parametrize("who", ["tara", "nobody"])
def test_the_command_prints_no_link_for_who_may_not(venue: OAuthSimulator, trader: User, who: str) -> None:
    with pytest.raises(CommandError):
        call_command("oauth_url", "coinbase", "--user", who, stdout=StringIO(), stderr=StringIO())
    with override_settings(COINBASE_CLIENT_ID=""), pytest.raises(CommandError):
        call_command("oauth_url", "coinbase", "--user", "tara", stdout=StringIO(), stderr=StringIO())


def test_allauth_knows_our_provider_and_not_its_own(venue: OAuthSimulator) -> None:
    from allauth.socialaccount.providers import registry

    registry.load()
    assert registry.get_class("coinbase") is CoinbaseProvider


def test_nothing_of_allauths_exchanges_a_code_or_reads_a_profile(venue: OAuthSimulator) -> None:
    """The way out is asked of our provider; for the rest it has no adapter, and allauth no address."""
    request = RequestFactory().get("/oauth/coinbase/connect")
    provider = CoinbaseProvider.of(request, now=timezone.now())
    assert provider.get_scope() == list(settings.COINBASE_SCOPES)
    with pytest.raises(ImproperlyConfigured, match="oauth2_adapter_class"):
        provider.get_oauth2_adapter(request)
    with pytest.raises(NoReverseMatch):
        reverse("coinbase_login")
    assert resolve(reverse("coinbase_callback")).func.__module__ == "apps.connectors.views.oauth"
