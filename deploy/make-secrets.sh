#!/bin/sh
# Makes the secrets of docker-compose.yml in a folder (./secrets); what is there already stays.
# The folder is its owner's alone; the files in it are readable, because the users of the containers are others.
set -eu
folder="${1:-secrets}"
umask 077
mkdir -p "$folder"
chmod 700 "$folder"

# NAME, then a command that prints the secret without a newline.
make() {
    name="$1"
    shift
    [ -e "$folder/$name" ] && return
    "$@" > "$folder/$name.new"
    chmod 444 "$folder/$name.new"
    mv "$folder/$name.new" "$folder/$name"
    echo "made $folder/$name"
}

word() { openssl rand -hex 24 | tr -d '\n'; }
secret_key() { openssl rand -base64 48 | tr -d '\n'; }
encryption_keys() { openssl rand -base64 32 | tr '+/' '-_' | tr -d '\n'; }
broker_url() { printf 'redis://:%s@redis:6379/0' "$(cat "$folder/redis_password")"; }
flower_basic_auth() { printf 'flower:%s' "$(word)"; }

make secret_key secret_key
make encryption_keys encryption_keys
make db_password word
make redis_password word
make broker_url broker_url
make flower_basic_auth flower_basic_auth
