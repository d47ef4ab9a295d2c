"""Pages of the admin, one module for what belongs together."""

from apps.connectors.admin import authorisations as authorisations
from apps.connectors.admin import connections as connections
