"""Who it is all for: tenants, and the people in them."""
