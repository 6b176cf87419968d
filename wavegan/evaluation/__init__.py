"""Measures how good generated sound is: features, metrics, their intervals, and pages that show them."""
