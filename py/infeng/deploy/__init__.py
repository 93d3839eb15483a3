"""Serving on more than one machine."""
