"""Settings for logs, metrics and traces; ``Settings`` inherits them."""

from typing import Annotated, Literal

from pydantic import AnyHttpUrl, Field
from pydantic_settings import BaseSettings

from shopbell.settings.extras import NEEDS_OTEL


class MonitoringSettings(BaseSettings):
    """What a process tells the people who run it."""

    log_format: Literal["console", "json"] = Field("console", description="Format of the log lines on standard error.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Minimum severity of log lines."
    )
    log_requests: bool = Field(
        True, description="Whether to log each request. Responses with status 500 or above are always logged."
    )
    metrics_host: str = Field("127.0.0.1", description="Address of the port for metrics.")
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="TCP port for `/metrics` alone. If set, the public port has no `/metrics`, and `shopbell worker` "
        "has its own. 0 picks a free port and logs it.",
    )
    traces_url: Annotated[AnyHttpUrl | None, NEEDS_OTEL] = Field(
        None,
        description="URL of an OpenTelemetry collector that takes traces by OTLP over HTTP, such as "
        "`http://127.0.0.1:4318/v1/traces`. Needs the extra `otel`.",
    )
    traces_ratio: float = Field(1, ge=0, le=1, description="Fraction of the traces that Shopbell records.")
