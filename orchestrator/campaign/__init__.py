"""A campaign: its events, and everything that follows from them."""
