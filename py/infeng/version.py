"""The version of the project, which goes into the files it writes."""

__version__ = "0.1.0"
