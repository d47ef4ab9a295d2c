"""What requests about knowledge may say."""

from typing import Final

from apps.common.api.bodies import Body, Choice, Integer, Text
from apps.common.api.nested import Objects
from apps.lessons.services.knowledge import ID_CHARS_MAX, ITEMS_MAX
from apps.lessons.services.knowledge_queries import LIMIT_MAX, TEXT_CHARS_MAX
from apps.lessons.types import MediaType

BODY_BYTES_MAX: Final = 1024 * 1024


class KnowledgeItemBody(Body):
    """A document: its text, or with `content_base64` its bytes. What is under this id already is replaced."""

    id = Text(chars_max=ID_CHARS_MAX, chars_min=1, required=True, about="The same for the same document, always.")
    title = Text(chars_max=300, default="", about="Left out: the document's own, or its id.")
    text = Text(chars_max=BODY_BYTES_MAX)
    content_base64 = Text(chars_max=BODY_BYTES_MAX, about="Of a PDF, or of any other document.")
    media_type = Choice(MediaType, about="Left out: by the ending of the id, else plain text.")


class KnowledgeBody(Body):
    """Documents to take in."""

    items = Objects(KnowledgeItemBody, count_min=1, count_max=ITEMS_MAX, required=True)
    desk = Text(chars_max=50, chars_min=1, about="Whose they are. Needed where the caller is at more than one desk.")


class KnowledgeQueryBody(Body):
    """A question to the documents."""

    text = Text(chars_max=TEXT_CHARS_MAX, chars_min=1)
    question = Text(chars_max=TEXT_CHARS_MAX, chars_min=1, about="Another name of text.")
    limit = Integer(minimum=1, maximum=LIMIT_MAX, default=5)
