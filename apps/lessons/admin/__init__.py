"""The memory on the desk's pages."""

from apps.lessons.admin import cases, helping, knowledge, lessons, memory

__all__ = ["cases", "helping", "knowledge", "lessons", "memory"]
