"""Settings of campaigns, how they are read, and what is said of mistakes."""
