"""The page of ``sermm demo``: a recording, its words, and what a model says of them."""
