"""The command line `nanoray`: one module per command, imported when it runs."""
