# Starts Redis with its users. Their passwords come from the secret as hashes, by a pipe: they are in no argument, no
# environment and no file of ours.
set -eu
password=$(cat /run/secrets/redis/password)
keda=$(cat /run/secrets/redis/keda)
if [ -z "$password" ] || [ -z "$keda" ]; then
  echo 'the secret driftfleet-redis has to have the keys password and keda, and neither empty' >&2
  exit 1
fi
hash() { printf %s "$1" | sha256sum | cut -d ' ' -f 1; }

# Nobody is let in as `default`. But what was written in a transaction is read from the append-only file with its
# rights (NOPERM in the log): without them a restart would forget the queue.
# docs/redis.md, "Who may do what in Redis", and what `driftfleet doctor` looks at. KEDA may count, and nothing else.
exec redis-server /etc/redis/redis.conf - <<END
user default off resetpass ~* &* +@all
user driftfleet on #$(hash "$password") resetkeys resetchannels -@all ~driftfleet* ~unacked* ~_kombu.binding* ~celeryev.* &/0.celeryev/* +auth +hello +ping +select +time +multi +exec +discard +watch +unwatch +client|setinfo +evalsha +script|load +script|exists +publish +psubscribe +punsubscribe +get +set +mget +incr +decr +del +exists +type +expire +ttl +pttl +scan +lpush +rpush +lpop +brpop +llen +lindex +lrange +ltrim +hget +hset +hdel +hgetall +hvals +hlen +hscan +sadd +srem +smembers +sismember +scard +zadd +zrem +zrange +zrangebyscore +zremrangebyscore +zscore +zcard +info +config|get
user driftfleet-keda on #$(hash "$keda") resetkeys resetchannels -@all ~driftfleet.checks.* ~unacked +auth +hello +ping +select +client|setinfo +eval +type +llen +hlen
END
