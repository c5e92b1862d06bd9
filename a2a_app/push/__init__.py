"""Push notifications (section 4.3.3): a task's events, sent to webhooks, each at least once."""
