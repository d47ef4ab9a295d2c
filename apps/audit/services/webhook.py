"""An alarm as a signed request to the address that an operator set. One attempt, under one deadline."""

import asyncio
import json
import ssl
from datetime import datetime
from functools import cache
from typing import Final

import httpx
from django.conf import settings

from apps.audit.rules import webhooks as rules
from apps.audit.services.messages import as_json
from apps.audit.types import Answer, Channel, Message

CONNECT_TIMEOUT_S: Final = 3.0
WRITE_TIMEOUT_S: Final = 3.0
READ_TIMEOUT_S: Final = 5.0
POOL_TIMEOUT_S: Final = 1.0
# Over all of it: a server that drips a byte at a time keeps within every timeout of its own.
TOTAL_S: Final = 8.0


class Webhook:
    """POSTs one JSON object. 2xx is an answer; a redirect is a refusal, since the signature is for one address."""

    channel = Channel.WEBHOOK

    def send(self, message: Message, *, now: datetime) -> Answer:
        """One attempt. What is answered holds no address and no secret: it is kept and shown."""
        trouble = rules.why_not(
            url=settings.ALARM_WEBHOOK_URL, secret=settings.ALARM_WEBHOOK_SECRET, environment=settings.ENVIRONMENT
        )
        if trouble:
            return Answer(False, trouble)
        body = json.dumps(as_json(message), ensure_ascii=True).encode("ascii")
        headers = {
            "content-type": "application/json",
            "user-agent": "aika",
            "aika-alarm-id": str(message.key),
            "aika-signature": rules.signature(
                secret=settings.ALARM_WEBHOOK_SECRET, timestamp=int(now.timestamp()), body=body
            ),
        }
        try:
            status = asyncio.run(_post(settings.ALARM_WEBHOOK_URL, headers, body))
        except TimeoutError:
            return Answer(False, f"no answer within {TOTAL_S:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            # Its text may hold the address, which may hold a token of the receiver's.
            return Answer(False, f"not reached ({type(error).__name__})")
        return Answer(200 <= status < 300, f"answered {status}")


async def _post(url: str, headers: dict[str, str], body: bytes) -> int:
    """The status of the answer; its body is not read."""
    timeout = httpx.Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S, write=WRITE_TIMEOUT_S, pool=POOL_TIMEOUT_S)
    async with (
        asyncio.timeout(TOTAL_S),
        httpx.AsyncClient(timeout=timeout, follow_redirects=False, trust_env=False, verify=_certificates()) as client,
        client.stream("POST", url, headers=headers, content=body) as answer,
    ):
        return answer.status_code


@cache
def _certificates() -> ssl.SSLContext:
    return ssl.create_default_context()
