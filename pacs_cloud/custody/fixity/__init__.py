"""Every pack is read again, over and over, and compared with what was stored."""
