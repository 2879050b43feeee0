"""The scoring service: HTTP in front, one compiled model behind."""
