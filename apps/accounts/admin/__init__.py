"""Pages of the admin about people and access."""

from apps.accounts.admin import api_keys, desks, people, second_person

__all__ = ["api_keys", "desks", "people", "second_person"]
