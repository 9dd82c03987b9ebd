"""From evaluations to regression problems."""
