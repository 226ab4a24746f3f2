# The image of Shopbell, from the artefacts of `make release`: docker build --tag shopbell .
FROM debian:trixie-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends python3-pip python3-venv
COPY dist/shopbell-*-offline-*.tar /tmp/
RUN mkdir /bundle && tar -xf /tmp/shopbell-*-offline-"$(uname -m)".tar -C /bundle --strip-components 1
RUN python3 -m venv --without-pip /opt/shopbell \
    && pip --python /opt/shopbell/bin/python3 install --no-cache-dir --no-index --find-links /bundle/wheels \
        --require-hashes --requirement /bundle/requirements-all.txt

FROM debian:trixie-slim
# `shopbell backup` and `shopbell restore` run pg_dump and pg_restore if the database is PostgreSQL.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates postgresql-client python3 tzdata \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 shopbell \
    && useradd --uid 10001 --gid shopbell --no-create-home --home-dir /data --shell /usr/sbin/nologin shopbell \
    && install --directory --owner shopbell --group shopbell --mode 700 /data
COPY --from=build /opt/shopbell /opt/shopbell
ENV PATH=/opt/shopbell/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    SHOPBELL_DATABASE_URL=sqlite:////data/shopbell.db \
    SHOPBELL_HOST=0.0.0.0 \
    SHOPBELL_PORT=8080
USER shopbell
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["python3", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"SHOPBELL_PORT\"]}/healthz', timeout=9)"]
ENTRYPOINT ["shopbell"]
CMD ["serve"]
