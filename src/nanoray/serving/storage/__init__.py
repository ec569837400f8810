"""Storage of the service: database, files, API keys."""
