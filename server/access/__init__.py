"""Who may come in: scopes, quotas, tokens and encryption."""
