"""What the service keeps: database, files, API keys."""
