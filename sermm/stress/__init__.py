"""How a model's score falls as its recordings or words get worse."""
