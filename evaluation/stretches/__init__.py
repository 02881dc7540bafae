"""How much of a video may be forged before it is noticed."""
