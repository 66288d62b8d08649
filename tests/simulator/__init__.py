"""A simulator of WhatsApp identity transitions with ground truth.

Persons, WhatsApp accounts and phone numbers have three lifetimes. The simulator writes the
webhooks a business would have received, in Meta's envelope, and next to them who really wrote.
See docs/simulator.md.
"""
