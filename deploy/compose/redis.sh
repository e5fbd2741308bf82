#!/bin/sh
# Starts Redis with the password from the secret, which is then in no argument and no environment: only in a file in memory.
set -eu
umask 077
password=$(cat /run/secrets/redis_password)
if [ -z "$password" ]; then
  echo 'secrets/redis_password is empty: run make up, which makes one, or write one into it' >&2
  exit 1
fi
hash=$(printf %s "$password" | sha256sum | cut -d ' ' -f 1)
{
  cat /usr/local/etc/redis/redis.conf
  echo "maxmemory ${REDIS_MAXMEMORY}"
  # Nobody is let in as `default`. But what was written in a transaction is read from the append-only file with its rights
  # (NOPERM in the log): without them a restart would forget the queue.
  echo 'user default off resetpass ~* &* +@all'
  # docs/redis.md, "Who may do what in Redis"; and what `driftfleet doctor` looks at.
  echo "user driftfleet on #$hash resetkeys resetchannels -@all" \
    '~driftfleet* ~unacked* ~_kombu.binding* ~celeryev.* &/0.celeryev/*' \
    '+auth +hello +ping +select +time +multi +exec +discard +watch +unwatch +client|setinfo' \
    '+evalsha +script|load +script|exists +publish +psubscribe +punsubscribe' \
    '+get +set +mget +incr +decr +del +exists +type +expire +ttl +pttl +scan' \
    '+lpush +rpush +lpop +brpop +llen +lindex +lrange +ltrim' \
    '+hget +hset +hdel +hgetall +hvals +hlen +hscan' \
    '+sadd +srem +smembers +sismember +scard' \
    '+zadd +zrem +zrange +zrangebyscore +zremrangebyscore +zscore +zcard' \
    '+info +config|get'
} > /run/redis/redis.conf
exec redis-server /run/redis/redis.conf
