"""Which supercells to label where a potential is wrong."""
