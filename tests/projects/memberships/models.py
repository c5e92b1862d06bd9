"""Members: users who are known by their address, and have no permissions."""

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models


class Member(AbstractBaseUser):
    """A user as a project may have it, which shares only the base class with Django's."""

    email = models.EmailField(unique=True)

    USERNAME_FIELD = "email"

    objects: ClassVar["models.Manager[Member]"] = models.Manager()

    class Meta:
        app_label = "memberships"
