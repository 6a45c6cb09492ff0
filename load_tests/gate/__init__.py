"""The gate before a merge: a short set of scenarios on a base revision and on the present state, taking turns."""
