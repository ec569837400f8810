"""Screening: finding files, and writing what the detector says of them."""
