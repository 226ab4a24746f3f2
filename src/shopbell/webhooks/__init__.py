"""Webhooks: endpoints, queues and delivery."""
