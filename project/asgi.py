"""What daphne serves: project.asgi:application."""

import gc
import os

from a2a_app.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

application = get_asgi_application()

# What is loaded by now stays: Python need not look through it for garbage, time and again. What a
# request makes is mostly gone with it: it is enough to look now and then.
gc.collect()
gc.freeze()
gc.set_threshold(10_000)
