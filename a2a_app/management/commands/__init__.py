"""Each named a2a_ and what it does."""
