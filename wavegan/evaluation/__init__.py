"""How good generated sound is: features, metrics and figures."""
