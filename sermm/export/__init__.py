"""A trained model as a folder that stands alone, with a card that says what it is worth."""
