"""The memory on the desk's pages."""

from apps.lessons.admin import cases, lessons

__all__ = ["cases", "lessons"]
