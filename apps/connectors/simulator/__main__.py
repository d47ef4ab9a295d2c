"""Start the venue without Django: the demo and the tests run it as a child process."""

import sys

from apps.connectors.simulator.serve import main

sys.exit(main())
