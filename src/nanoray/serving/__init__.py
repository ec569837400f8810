"""Serving: an HTTP service, a DICOM node and a worklist page. Needs the extra "serve"."""
