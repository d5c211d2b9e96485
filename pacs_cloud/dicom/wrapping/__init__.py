"""Photographs, videos and documents that are no DICOM become instances; pure."""
