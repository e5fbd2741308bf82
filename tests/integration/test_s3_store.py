"""A store in S3: what is sent, what is asked, and what happens when S3 or the way to it fails."""

IMPATIENCE_SECONDS = 0.4
SLOW_DOWN = {"status": 503, "code": "SlowDown", "message": "Please reduce your request rate."}
ALWAYS = 99
