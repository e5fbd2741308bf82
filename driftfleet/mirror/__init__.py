"""The provider mirror: what it holds, what the fleet needs of it, and how that gets there."""
