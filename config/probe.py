"""`python -m config.probe [PATH [PORT]]`: ask the web server of this container how it is. 0 where it answers 200.

Speaks as the proxy in front would: production refuses a host that is not its own and sends plain HTTP elsewhere.
"""

import http.client
import sys

from config import gunicorn
from config.env import env

ANSWER_S_MAX = 5


def main(path: str, port: str = "") -> int:
    """0 healthy, 1 not. Without a port it is gunicorn's."""
    host = next(iter(env.words("ALLOWED_HOSTS")), "localhost").lstrip(".")
    connection = http.client.HTTPConnection(
        "127.0.0.1", int(port or gunicorn.bind.rpartition(":")[2]), timeout=ANSWER_S_MAX
    )
    try:
        connection.request("GET", path, headers={"Host": host, "X-Forwarded-Proto": "https"})
        return 0 if connection.getresponse().status == 200 else 1
    except (OSError, http.client.HTTPException):
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(*(sys.argv[1:] or ["/readyz"])))
