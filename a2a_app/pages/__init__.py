"""What is shown to people, in the admin and beside it."""
