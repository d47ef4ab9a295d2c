"""gunicorn in a server installation: threads, because a request waits for the database and not for the processor."""

import os
import subprocess
import sys
from typing import Any

# Known before anything of ours is read: the lines of the log are redacted by it.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.production")

from config.settings.logs import LOGGING

# A container's own loopback is reached by nobody: docker-compose.yml, and nothing else, says --bind 0.0.0.0:8000.
bind = "127.0.0.1:8000"
workers = 2
threads = 8
worker_class = "gthread"
# Above every deadline inside a request; a worker that says nothing for so long is replaced.
timeout = 60
graceful_timeout = 20
keepalive = 75
# Bounds what a leak could cost; the jitter keeps the workers from leaving together.
max_requests = 20_000
max_requests_jitter = 2_000
# `aika.requests` says them (apps/common/request_log.py), with their ids; gunicorn's own lines look like those.
accesslog = None
logconfig_dict = {
    **LOGGING,
    "loggers": {
        "gunicorn.error": {"level": "INFO", "propagate": True},
        "gunicorn.access": {"level": "CRITICAL", "propagate": False},
    },
}
# In memory: on some disks the heartbeat file would stall a worker.
worker_tmp_dir = "/dev/shm"  # noqa: S108  gunicorn makes a file of an unguessable name in it


def on_starting(_server: Any) -> None:
    """Once, before any worker, in a process of its own: what this one had read, a reload would not read again."""
    begin = "from config import start; start.require_keys()"
    if code := subprocess.run([sys.executable, "-c", begin], check=False).returncode:  # noqa: S603  our own words
        sys.exit(code)
