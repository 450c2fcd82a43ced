"""Who may ask, and what is whose: keys, tenants, their concepts and their feedback."""
