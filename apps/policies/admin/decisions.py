"""Decisions on record: what was seen, what was allowed, what was said. Nobody changes them."""

import json
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join

from apps.common import canonical
from apps.common.admin import AboutAdmin
from apps.policies.admin.base import MayRead
from apps.policies.models import Decision
from apps.policies.services.replays import problem_of


@admin.register(Decision)
class DecisionAdmin(MayRead, AboutAdmin[Decision]):
    """One row for each time policy was asked."""

    filled_by = "Each proposal that is judged leaves one, with a line for every rule."

    list_display = ("decided_at", "gate", "outcome", "subject", "version")
    list_select_related = ("version__policy_set",)
    list_filter = ("outcome", "gate")
    search_fields = ("=subject",)
    search_help_text = "The whole id of a proposal."
    ordering = ("-decided_at",)
    fields = ("decided_at", "gate", "outcome", "about", "version", "remedy", "lines", "reproduced", "facts")
    readonly_fields = ("about", "remedy", "lines", "reproduced", "facts")

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return MayRead.has_view_permission(self, request, obj)

    def stream_of(self, row: Decision) -> str:
        """A decision names its proposal by the bare id."""
        return f"proposal:{row.subject}"

    @admin.display(description="what would pass")
    def remedy(self, obj: Decision) -> str:
        found = _decoded(obj.results).get("remedy")
        return str(found["sentence"]) if isinstance(found, dict) else "nothing was denied"

    @admin.display(description="rules")
    def lines(self, obj: Decision) -> str:
        found = _decoded(obj.results).get("lines")
        rows = [line for line in found if isinstance(line, dict)] if isinstance(found, list) else []
        return format_html(
            '<table class="grid"><thead><tr><th>Rule</th><th>Verdict</th><th>What it saw</th></tr></thead>'
            "<tbody>{}</tbody></table>",
            format_html_join(
                "",
                "<tr><td><code>{}</code></td><td>{}</td><td>{} <code>{}</code></td></tr>",
                ((line.get("rule"), line.get("verdict"), line.get("message"), line.get("code")) for line in rows),
            ),
        )

    @admin.display(description="judged again")
    def reproduced(self, obj: Decision) -> str:
        return problem_of(obj) or "The same inputs give the same answer, byte for byte."

    @admin.display(description="what it went by")
    def facts(self, obj: Decision) -> str:
        return format_html('<pre tabindex="0">{}</pre>', json.dumps(_decoded(obj.inputs), ensure_ascii=False, indent=2))


def _decoded(raw: bytes | memoryview) -> dict[str, Any]:
    try:
        return canonical.decode(bytes(raw))
    except ValueError:
        return {}
