# The app as docker-compose.yml starts it: the locked dependencies, this checkout, a user without rights.
FROM python:3.13-slim-bookworm

WORKDIR /bahi
COPY requirements.txt .
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes --requirement requirements.txt

COPY . .
# `docker compose exec app bahi doctor`, as the runbooks say it.
RUN printf '#!/bin/sh\nexec python -m ops.cli "$@"\n' > /usr/local/bin/bahi && chmod 755 /usr/local/bin/bahi
RUN useradd --system --uid 10001 --home-dir /data bahi && install --directory --owner bahi /data
USER bahi

ENV PYTHONPATH=/bahi PYTHONUNBUFFERED=1 BAHI_DATA_DIR=/data API_HOST=0.0.0.0
VOLUME /data
EXPOSE 8000
ENTRYPOINT ["python", "-m", "ops.cli"]
CMD ["up"]
