"""MLflow, and the progress display on a terminal."""
