"""What can be evaluated: crystals, superlattices and interfaces, and their canonical forms."""
