"""What an oracle is, and what its evaluations contain."""
