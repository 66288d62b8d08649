"""The BI pages over the published warehouse: `make dashboard`."""
