"""The ensemble of graph networks."""
