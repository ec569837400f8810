"""Screening of the radiographs of a folder as they arrive, each content once."""
