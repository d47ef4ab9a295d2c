"""`python -m config.live`: the sockets of a server installation, in a process of their own beside gunicorn's threads.

The proxy sends /ws/ here and everything else to `web`. More of these may run side by side: each hears every price once.
"""

import argparse
import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.production")

import uvicorn

BIND = "127.0.0.1:8001"
STOP_S_MAX = 2


def main(arguments: list[str]) -> int:
    """Serve until a signal comes; open sockets are then closed with 1012."""
    parser = argparse.ArgumentParser(prog="config.live", description=__doc__)
    # A container's own loopback is reached by nobody: docker-compose.yml says otherwise.
    parser.add_argument("--bind", default=BIND, help="HOST:PORT")
    host, _, port = parser.parse_args(arguments).bind.rpartition(":")

    # Not at the top: that sets Django up, which `--help` and a wrong argument need not wait for.
    from config import start

    start.require_keys()
    from config.asgi import application
    from config.sockets import OPTIONS, SocketProtocol

    server = uvicorn.Server(
        uvicorn.Config(
            application,
            host=host,
            port=int(port),
            lifespan="off",
            ws=SocketProtocol,
            log_config=None,
            access_log=False,
            # The proxy's word for an address is settings' own matter, as behind gunicorn.
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=STOP_S_MAX,
            **OPTIONS,
        )
    )
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
