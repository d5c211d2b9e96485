"""Files that somebody brings from their own device, made DICOM where they are not."""
