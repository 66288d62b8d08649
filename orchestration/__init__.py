"""WhatsApp webhooks in, one row per customer out: landing, dbt, publishing."""
