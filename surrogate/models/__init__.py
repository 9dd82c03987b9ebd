"""The surrogates."""
