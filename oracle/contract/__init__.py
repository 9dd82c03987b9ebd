"""What an oracle is, and what it answers."""
