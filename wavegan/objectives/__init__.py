"""What is minimised, and what is added to it: pure functions of tensors."""
