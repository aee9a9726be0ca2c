"""The watchdog: what each rank is at, who has gone silent, and the message that says so."""
