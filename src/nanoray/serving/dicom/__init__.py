"""The DICOM node of the service: receiving, pulling, reporting."""
