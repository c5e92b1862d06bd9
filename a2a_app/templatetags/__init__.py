"""What the app adds to Django's templates."""
