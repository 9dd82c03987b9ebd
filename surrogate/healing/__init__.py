"""Where a potential is wrong, and how it is fine-tuned."""
