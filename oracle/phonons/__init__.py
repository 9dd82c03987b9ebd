"""Relaxation of a crystal, and its second- and third-order force constants."""
