"""The memory on the desk's pages."""

from apps.lessons.admin import cases, knowledge, lessons

__all__ = ["cases", "knowledge", "lessons"]
