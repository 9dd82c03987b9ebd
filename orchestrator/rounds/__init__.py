"""What to do in a round."""
