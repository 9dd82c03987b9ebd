"""Settings of campaigns, how they are read, and messages about mistakes in them."""
