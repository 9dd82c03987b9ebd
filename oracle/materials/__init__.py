"""What can be measured: crystals, superlattices and interfaces, and their canonical forms."""
