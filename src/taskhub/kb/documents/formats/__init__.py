"""How each file format becomes text."""
