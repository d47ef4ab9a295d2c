"""Measures of a scene, one function each: a number, or None where it cannot be known."""
