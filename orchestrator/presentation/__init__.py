"""Numbers, tables and frames of text, as people read them."""
