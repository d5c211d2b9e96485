"""What DICOM itself defines, as pure functions over bytes and values."""
