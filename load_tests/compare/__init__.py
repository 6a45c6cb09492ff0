"""Comparing two sides of results: ratios with confidence intervals, and what is worse than allowed."""
