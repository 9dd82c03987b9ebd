"""The value of measuring a candidate, from a posterior."""
