"""The physics: what a material is, and what measuring it gives."""
