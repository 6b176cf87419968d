"""What a step is compared with: a textbook's, and the floor of the machine."""
