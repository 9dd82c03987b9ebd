"""What a surrogate is and what it answers, and its settings."""
