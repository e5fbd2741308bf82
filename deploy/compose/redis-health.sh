#!/bin/sh
# Whether Redis takes the fleet's password and answers; the password is in no argument.
REDISCLI_AUTH=$(cat /run/secrets/redis_password)
export REDISCLI_AUTH
[ "$(redis-cli --user driftfleet ping)" = PONG ]
