"""The trainer: from an event log to a published, verified artifact."""
