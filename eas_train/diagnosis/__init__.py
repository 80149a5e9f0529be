"""Whether the capacity of a supernet is used: how far its weights went, and what each choice is worth."""
