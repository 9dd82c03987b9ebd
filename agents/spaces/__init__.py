"""Design spaces, one file per kind."""
