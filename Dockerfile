# One image for every service of docker-compose.yml; the command says which it is.
FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /venv
COPY requirements/base.txt /requirements.txt
RUN /venv/bin/pip install --quiet --require-hashes -r /requirements.txt

FROM python:3.11-slim-bookworm
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 DJANGO_SETTINGS_MODULE=config.settings.production AIKA_DATA_DIR=/app/var
RUN useradd --system --uid 10001 --home-dir /app aika
WORKDIR /app
COPY --from=build /venv /venv
COPY manage.py ./
COPY config config
COPY apps apps
COPY templates templates
COPY static static
# Collecting needs settings that load, and reads none of these values.
RUN SECRET_KEY=unused TOKEN_ENCRYPTION_KEY=unused ALLOWED_HOSTS=unused DATABASE_URL=postgres://unused \
    REDIS_URL=redis://unused QDRANT_URL=http://unused \
    python manage.py collectstatic --noinput --verbosity 0 && chown -R aika /app/var
USER aika
EXPOSE 8000
CMD ["gunicorn", "config.wsgi:application", "--config", "config/gunicorn.py"]
