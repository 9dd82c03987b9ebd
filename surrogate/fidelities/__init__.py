"""What cheaper fidelities tell, and how far they are trusted."""
