"""The market over the API."""

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from apps.accounts.authentication import principal_of
from apps.accounts.permissions import HasScope
from apps.accounts.types import Scope
from apps.common.api.queries import Query, cursor_of, cursor_parts
from apps.common.api.schema import documented, paged, parameter
from apps.common.api.views import ApiView, answer
from apps.common.decimals import instant_text, parse_instant
from apps.quotes.api import shapes
from apps.quotes.selectors.candles import LIMIT_MAX
from apps.quotes.selectors.feed import TOLD_MAX, feed_record, told_record
from apps.quotes.selectors.records import candle_record, instrument_record
from apps.quotes.services.board import board
from apps.quotes.services.charts import chart
from apps.quotes.services.feeds_told import feed_told
from apps.quotes.types import Length

_NAMES = "GET /api/v1/connectors lists the short names."
CANDLES_DEFAULT = 300
TOLD_DEFAULT = 100


class QuotesView(ApiView):
    """/api/v1/quotes"""

    access = {"GET": HasScope(Scope.READ)}

    @documented(
        operation="quotes_list",
        summary="Instruments and their prices",
        tag="Market",
        answers={200: shapes.QuotePage},
        problems=(404,),
        parameters=(
            parameter("connection", "The short name GET /connectors lists.", required=True),
            parameter(
                "instrument",
                "Only these; their prices are asked for anew where they are older than 2 s.",
                {"type": "array", "maxItems": 50, "items": {"type": "string", "minLength": 1, "maxLength": 40}},
            ),
            *paged(),
        ),
    )
    def get(self, request: Request) -> HttpResponse:
        """What a connection lists, by code, with the last price kept and its age."""
        query = Query(
            request.query_params,
            known=("connection", "instrument", "limit", "cursor"),
            repeatable=("instrument",),
        )
        limit, parts, slug = (
            query.page_size(),
            cursor_parts(query.text("cursor"), 1),
            query.needed("connection", _NAMES),
        )
        found = board(
            principal=principal_of(request),
            connection=slug,
            codes=query.texts("instrument"),
            after=parts[0] if parts else None,
            limit=limit,
            now=timezone.now(),
        )
        now = timezone.now()
        return answer(
            {
                "connection": slug,
                "items": [instrument_record(row, found.quotes.get(row.code), now=now) for row in found.instruments],
                "next_cursor": cursor_of(found.instruments[-1].code) if found.more else None,
            }
        )


class CandlesView(ApiView):
    """/api/v1/candles"""

    access = {"GET": HasScope(Scope.READ)}

    @documented(
        operation="candles_list",
        summary="Candles of an instrument",
        tag="Market",
        answers={200: shapes.CandlePage},
        problems=(404,),
        parameters=(
            parameter("connection", "The short name GET /connectors lists.", required=True),
            parameter(
                "instrument", "Such as BTC-USD.", {"type": "string", "minLength": 1, "maxLength": 40}, required=True
            ),
            parameter(
                "granularity",
                "Length of a candle.",
                {"type": "string", "enum": [item.value for item in Length], "default": "1m"},
            ),
            parameter(
                "since",
                "Candles that begin then or later, the oldest first. Without it, the newest ones are given.",
                {"type": "string", "format": "date-time"},
            ),
            parameter("until", "Candles that begin before.", {"type": "string", "format": "date-time"}),
            *paged(default=CANDLES_DEFAULT, most=LIMIT_MAX),
        ),
    )
    def get(self, request: Request) -> HttpResponse:
        """Oldest first. An interval in which nothing traded, or of which nothing is known, has no candle; the newest
        one may still be open. `final` says that no later answer will differ."""
        query = Query(
            request.query_params,
            known=("connection", "instrument", "granularity", "since", "until", "limit", "cursor"),
        )
        parts = cursor_parts(query.text("cursor"), 1)
        since = query.instant("since") if parts is None else parse_instant(parts[0], field="cursor")
        granularity = query.choice("granularity", Length) or Length.M1
        slug = query.needed("connection", _NAMES)
        found = chart(
            principal=principal_of(request),
            connection=slug,
            instrument=query.needed("instrument", "GET /api/v1/quotes lists the instruments."),
            granularity=Length(granularity),
            since=since,
            until=query.instant("until"),
            limit=query.page_size(default=CANDLES_DEFAULT, most=LIMIT_MAX),
        )
        return answer(
            {
                "connection": slug,
                "instrument": query.text("instrument"),
                "granularity": granularity,
                "items": [candle_record(one) for one in found.items],
                "next_cursor": None if found.following is None else cursor_of(instant_text(found.following)),
            }
        )


class FeedView(ApiView):
    """/api/v1/feed"""

    access = {"GET": HasScope(Scope.READ)}

    @documented(
        operation="feed_read",
        summary="How a connection's live feed does",
        tag="Market",
        answers={200: shapes.FeedTold},
        problems=(404,),
        parameters=(
            parameter("connection", "The short name GET /connectors lists.", required=True),
            parameter(
                "limit",
                "How many instruments to tell of.",
                {"type": "integer", "minimum": 1, "maximum": TOLD_MAX, "default": TOLD_DEFAULT},
            ),
        ),
    )
    def get(self, request: Request) -> HttpResponse:
        """Its state, lag, gaps, reconnects and messages a second, and when each instrument's last price came."""
        query = Query(request.query_params, known=("connection", "limit"))
        limit = query.page_size(default=TOLD_DEFAULT, most=TOLD_MAX)
        slug, now = query.needed("connection", _NAMES), timezone.now()
        found = feed_told(principal=principal_of(request), connection=slug, limit=limit, now=now)
        return answer(
            {
                "connection": slug,
                "feed": None if found.state is None else feed_record(found.state, now),
                "items": [told_record(one, now) for one in found.told],
                "left_out": found.left_out,
            }
        )
