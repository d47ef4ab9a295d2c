"""Documents as they are handed over: valid by default, taken in by the service."""

from datetime import datetime
from itertools import count
from typing import Any

import factory

from apps.audit.types import Actor
from apps.lessons.models import KnowledgeDocument, KnowledgeRecall
from apps.lessons.recall_types import Viewer
from apps.lessons.services import knowledge
from apps.lessons.services.knowledge import Item
from apps.lessons.services.knowledge_queries import query_knowledge
from apps.lessons.services.reading import Source
from apps.lessons.types import MediaType
from tests.factories.accounts import LONG_AGO

_numbers = count(1)


class KnowledgeDocumentFactory(factory.Factory[KnowledgeDocument]):
    """`KnowledgeDocumentFactory(desk=..., text=..., id=...)`: Markdown, of everybody without a desk."""

    class Meta:
        model = KnowledgeDocument

    @classmethod
    def _create(cls, model_class: type[KnowledgeDocument], *args: Any, **kwargs: Any) -> KnowledgeDocument:
        name: str = kwargs.get("id", f"doc-{next(_numbers)}")
        text: str = kwargs.get("text", "# Stops\n\nSet a stop before the order leaves.")
        now: datetime = kwargs.get("now", LONG_AGO)
        item = Item(id=name, source=Source(raw=text.encode(), media_type=MediaType.MARKDOWN))
        desk = kwargs.get("desk")
        knowledge.ingest(items=[item], desk_id=desk.pk if desk else None, actor=Actor.system("tests"), now=now)
        return KnowledgeDocument.objects.get(desk=desk, external_id=name)


class KnowledgeRecallFactory(factory.Factory[KnowledgeRecall]):
    """`KnowledgeRecallFactory(desk=..., viewer=..., text=..., now=...)`: a question that one document answers."""

    class Meta:
        model = KnowledgeRecall

    @classmethod
    def _create(cls, model_class: type[KnowledgeRecall], *args: Any, **kwargs: Any) -> KnowledgeRecall:
        desk, viewer = kwargs.get("desk"), kwargs.get("viewer")
        now: datetime = kwargs.get("now", LONG_AGO)
        KnowledgeDocumentFactory(desk=desk, now=now)
        answer = query_knowledge(
            text=kwargs.get("text", "When is a stop set?"),
            desk_ids=[desk.pk] if desk else [],
            viewer=Viewer(person_id=viewer.pk if viewer else None, key=kwargs.get("key", "")),
            limit=1,
            now=now,
        )
        return KnowledgeRecall.objects.get(pk=answer.id)
