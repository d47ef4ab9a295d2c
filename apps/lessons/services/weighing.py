"""Which mistakes the texts of cases speak of, kept beside their vectors: a question looks at two hundred cases, and to
read all of them again took it most of its time.

What is kept is what would be found anew, number for number. It is made after the vectors, so that nothing waits for it;
a case without it is read when it is asked for.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction

from apps.lessons.embeddings.base import EmbeddingProvider
from apps.lessons.models import Case, IndexEntry, IndexSpace
from apps.lessons.services import tagging
from apps.lessons.types import EntryKind, EntryState

BATCH: Final = 256
_PAGE: Final = ("pk", "subject", "content_hash")

Weighed = Mapping[int, tuple[str, bytes]]


def catch_up(
    *,
    space: IndexSpace,
    provider: EmbeddingProvider,
    clock: Callable[[], datetime],
    until: datetime,
    batch: int = BATCH,
) -> int:
    """Keep the weights of every case that stands in the space and has none yet, until it is `until`. Returns how many.

    Where mistakes are found in another way than when the space was weighed, all are weighed again. May run many times
    at once.
    """
    _begin_anew(space, tagging.maker(provider))
    after = done = 0
    while clock() < until:
        waiting = IndexEntry.objects.filter(
            space=space, kind=EntryKind.CASE, state=EntryState.INDEXED, weights=None, pk__gt=after
        )
        page = {pk: (subject, content) for pk, subject, content in waiting.order_by("pk").values_list(*_PAGE)[:batch]}
        if not page:
            break
        done += _keep(_weighed(page, provider))
        after = max(page)
    return done


def _weighed(page: Mapping[int, tuple[UUID, str]], provider: EmbeddingProvider) -> Weighed:
    """By entry, with the hash of what was weighed; without those whose case says something else by now."""
    cases = Case.objects.filter(pk__in=[subject for subject, _ in page.values()]).order_by()
    columns = cases.values_list("pk", "content_hash", "thesis_text", "narrative_text")
    texts = {(pk, content): tagging.text_of(thesis, narrative) for pk, content, thesis, narrative in columns}
    return {pk: (key[1], tagging.weigh(texts[key], provider)) for pk, key in page.items() if key in texts}


def _keep(weighed: Weighed) -> int:
    with transaction.atomic():
        entries = IndexEntry.objects.select_for_update(no_key=True).filter(pk__in=list(weighed)).order_by("pk")
        same = [entry for entry in entries if entry.content_hash == weighed[entry.pk][0]]
        for entry in same:
            entry.weights = weighed[entry.pk][1]
        IndexEntry.objects.bulk_update(same, ["weights"])
    return len(same)


def _begin_anew(space: IndexSpace, maker: str) -> None:
    if space.weighed_by == maker:
        return
    with transaction.atomic():
        IndexEntry.objects.filter(space=space, weights__isnull=False).update(weights=None)
        IndexSpace.objects.filter(pk=space.pk).update(weighed_by=maker)
    space.weighed_by = maker
