"""Network blocks. Each gives the same output for a clip alone and padded in a batch."""
