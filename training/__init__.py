"""The trainer: from an event log to a published, verified artifact."""

__version__ = "0.1.0"
