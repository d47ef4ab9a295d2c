"""gunicorn in a server installation: threads, because a request waits for the database and not for the processor."""

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
accesslog = "-"
# The path without its query: what somebody searches for is nobody else's business, and may be a pasted key.
access_log_format = '%(h)s %(t)s "%(m)s %(U)s %(H)s" %(s)s %(b)s "%(a)s"'
# In memory: on some disks the heartbeat file would stall a worker.
worker_tmp_dir = "/dev/shm"  # noqa: S108  gunicorn makes a file of an unguessable name in it
