"""MLflow, and the progress on a terminal."""
