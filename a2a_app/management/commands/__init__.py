"""The commands of `manage.py`, whose names begin with a2a_."""
