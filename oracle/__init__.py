"""The physics: what a material is, and how its properties are computed."""
