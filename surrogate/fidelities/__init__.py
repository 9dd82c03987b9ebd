"""What results at lower fidelities contribute, and how far they are trusted."""
