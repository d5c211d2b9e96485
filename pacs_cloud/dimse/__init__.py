"""The DICOM network edge: associations (PS3.8), messages (PS3.7) and their services."""
