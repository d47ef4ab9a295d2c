# The two commands that matter: `make run` and `make test`. Everything else is for people who work on Aika.
PORT ?= 8000
# yes, or no: make run without the program that keeps proposing.
AGENT ?= yes
PYTHON ?= python3
# Said here because a Python this old cannot even read the file that would say it.
OLD = Aika needs Python 3.11 or newer as $(PYTHON). Install it, then run make again.
BOOT = @$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 7))' 2>/dev/null \
	|| { echo "$(OLD)"; exit 1; }; $(PYTHON) config/bootstrap.py
VENV = .venv/bin

.PHONY: run test bench soak load lock

# A running desk on http://localhost:$(PORT), from a fresh clone.
run:
	$(BOOT) run --port "$(PORT)" --agent "$(AGENT)"

# Lint, types, import contracts, migrations, system checks and the fast tests.
test:
	$(BOOT) test

# The benchmarks of tests/benchmarks; they need the servers that .ci/run starts.
bench:
	$(BOOT) environment bench
	$(VENV)/python -m tests.benchmarks

# The crash matrix in thousands of real processes, halts against requests that are about to leave, and their section of
# docs/reliability.md; needs DATABASE_URL and REDIS_URL. HALTS is for each of the two databases.
RUNS ?= 1300
# Enough for every pair of the matrix: tests/crash/cells.py, sample.
POSTGRES_RUNS ?= 950
HALTS ?= 5000
SEED ?= 1
# On each of the two databases. A run mostly waits for its processes to start.
PROCESSES ?= 3
soak:
	$(BOOT) environment dev
	$(VENV)/python -m tests.crash --runs $(RUNS) --postgres-runs $(POSTGRES_RUNS) --halts $(HALTS) --seed $(SEED) \
		--processes $(PROCESSES) --database both --report docs/reliability.md

# A server installation under load on this machine, whole and then while its parts are killed, and their sections of
# docs/reliability.md. It starts a PostgreSQL and a Redis of its own from Debian's packages.
MINUTES ?= 20
load:
	$(BOOT) environment dev
	$(VENV)/python -m tests.load --minutes $(MINUTES) --report docs/reliability.md
	$(VENV)/python -m tests.load --minutes $(MINUTES) --faults --report docs/reliability.md

# Locks with hashes for every supported Python and platform. Each lock is held to the smaller one's pins.
LOCK = $(VENV)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
lock:
	$(BOOT) environment dev
	cd requirements && for name in base dev browser bench; do ../$(LOCK) $$name.in -o $$name.txt || exit 1; done
