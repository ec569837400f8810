"""The command line: `nanoray`. Modules here import little at the top; work is imported on use."""
