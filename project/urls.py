from django.contrib import admin
from django.urls import include, path

from project.views import index

urlpatterns = [
    path("", index),
    path("admin/", admin.site.urls),
    path("", include("a2a_app.urls")),
]
