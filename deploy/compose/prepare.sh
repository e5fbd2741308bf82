#!/bin/sh
# Makes what docker-compose.yml reads and this folder lacks: .env, fleet.yaml, secrets/. What is there stays as it is.
set -eu
cd "$(dirname "$0")/../.."

# Containers read as other users, also what a clone under `umask 077` closed to them.
umask 022
chmod -R a+rX deploy/compose

made() { echo "made $1${2:+: $2}"; }

[ -e .env ] || { cp deploy/compose/env.example .env; made .env 'a stand-in for AWS, until you change it'; }
[ -e fleet.yaml ] || { cp deploy/compose/fleet.example.yaml fleet.yaml; made fleet.yaml 'name your GitHub and its repositories'; }

# Others of this machine can't enter the folder; the containers' user, which is another, reads the files.
[ -d secrets ] || mkdir -m 0700 secrets
secret() {
  [ -e "secrets/$1" ] && return
  cat > "secrets/$1"
  # Its owner writes a new one into it.
  chmod 0644 "secrets/$1"
  made "secrets/$1" "$2"
}
random() { head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }
random | secret redis_password 'random'
random | secret flower_password 'random; the user is driftfleet'
secret github_token 'empty: write your token into it' < /dev/null
secret aws_credentials 'keys of the stand-in; yours look the same' <<'KEYS'
[default]
aws_access_key_id = test
aws_secret_access_key = test
KEYS
