"""From materials to arrays."""
