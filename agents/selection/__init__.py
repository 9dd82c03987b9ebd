"""From proposals to a batch."""
