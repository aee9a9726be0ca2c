"""What the server does: applies events to jobs, decides who starts, accompanies attempts, forgets what is old."""
