"""All routes of customers' browsers and apps that are ordinary ones."""

from fastapi import APIRouter

from shopbell.http.customer import (
    attachments,
    links,
    messages,
    pages,
    profile,
    reading,
    sessions,
    threads,
    transcript,
)

ROUTERS: tuple[APIRouter, ...] = tuple(
    part.router for part in (sessions, threads, messages, attachments, reading, profile, transcript, links, pages)
)
