"""DICOM files: from the container to stored values."""
