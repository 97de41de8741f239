"""Back a hub up, prove that the copy is whole, and bring it back without running anything twice unasked."""
