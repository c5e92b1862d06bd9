from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

from project.views import index

urlpatterns = [
    path("", index),
    path("admin/", admin.site.urls),
    path("", include("a2a_app.urls")),
    # The admin's styles, in DEBUG only: daphne serves no files, and `make run` needs no web server.
    *staticfiles_urlpatterns(),
]
