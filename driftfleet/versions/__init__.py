"""Which version of which program plans a root: pure, and shared by both sides."""
