"""A cloud-native PACS: DICOM in, packs in the bucket, DICOM out."""

__version__ = "0.1.0"
