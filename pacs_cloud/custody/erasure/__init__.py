"""What is erased for ever: no byte of it is kept, and that is proven."""
