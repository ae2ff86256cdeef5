"""Independent builder of the regression captures: bytes from the specification, never from dvrd."""
