"""The version, for every floor."""

__version__ = "0.1.0.dev0"
