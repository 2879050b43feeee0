"""The contract between training and service: what an artifact is, and how events become arrays."""
