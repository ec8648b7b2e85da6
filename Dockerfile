# docker build -t molweight . && docker run --rm -v "$PWD/runs:/molweight/runs" molweight
FROM python:3.11-slim
# The libraries are those that RDKit's wheels expect of the system.
RUN apt-get update \
    && apt-get install -y --no-install-recommends make libexpat1 libx11-6 libxext6 libxrender1 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /molweight
COPY . .
RUN make .venv/.ready
CMD ["make", "run"]
