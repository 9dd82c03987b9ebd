"""Selection of a batch from the proposals of all agents."""
