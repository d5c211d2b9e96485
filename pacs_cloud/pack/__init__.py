"""The pack: one plain ZIP file that holds instances of one series and their index."""
