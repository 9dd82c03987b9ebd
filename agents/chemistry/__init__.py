"""Elements, charges and near-duplicates."""
