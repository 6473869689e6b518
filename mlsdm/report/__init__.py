"""The report of the audit, and the gallery of notebooks: made from the store alone."""
