"""The second loop, which fine-tunes a potential where it is wrong."""
