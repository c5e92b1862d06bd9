# The reference project as two images: `server`, of which workers are made too, and `proxy`, which is
# nginx with the admin's files. compose.yaml runs them; docs/docker.md explains both.

FROM python:3.13-slim AS installed
WORKDIR /src
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
COPY pyproject.toml setup.py README.md LICENSE ./
COPY a2a_app a2a_app
RUN pip install --no-cache-dir '.[project]'

FROM python:3.13-slim AS server
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
COPY --from=installed /venv /venv
WORKDIR /srv
COPY manage.py ./
COPY project project
RUN python manage.py collectstatic --no-input --verbosity 0
# A new volume takes its owner from the folder in its place.
RUN install -d -o 10001 -g 10001 -m 700 /srv/a2a_files
USER 10001:10001
ENV DJANGO_DEBUG=0
EXPOSE 8000
CMD ["daphne", "-e", "tcp:port=8000:backlog=1024", "--proxy-headers", "project.asgi:application"]

FROM nginx:1.29-alpine AS proxy
COPY --from=server /srv/static /srv/static
COPY project/nginx.conf /etc/nginx/nginx.conf
USER nginx
EXPOSE 8080
