"""The ASGI application, which daphne serves as project.asgi:application."""

import gc
import os

from a2a_app.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

application = get_asgi_application()

# Objects that are loaded by now stay, so the garbage collector need not look at them again. Most
# objects of a request are freed when it ends, so it is enough to collect now and then.
gc.collect()
gc.freeze()
gc.set_threshold(10_000)
