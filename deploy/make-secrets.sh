#!/bin/sh
# Creates new passwords, and the addresses that contain them, as the files of deploy/secrets that compose.yaml mounts.
# Existing files are kept: servers with data use the old passwords.
set -eu
umask 077
folder="${1:-$(dirname "$0")/secrets}"

if [ -e "$folder" ]; then
    echo "$folder exists already; it was not changed." >&2
    exit 0
fi

random() {
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

# Letters of both cases, digits and a symbol, as SQL Server requires; no character with a meaning in a URL.
password() {
    printf 'Pw-%s' "$(random)"
}

# The files are readable by everyone, since a container's user is not their owner; only the owner can enter the folder.
save() {
    printf '%s\n' "$2" > "$made/$1"
    chmod 0644 "$made/$1"
}

made="$folder.new"
rm -rf "$made"
mkdir -p "$made"
echo '*' > "$made/.gitignore"

root="$(password)"
save mongo_key "$(random)$(random)"
save mongo_root_password "$root"
save mongo_admin_url "mongodb://root:$root@mongo:27017/?replicaSet=rs0"
save mongo_url "mongodb://postlog:$(password)@mongo:27017/?replicaSet=rs0"

postgres="$(password)"
save postgres_password "$postgres"
save postgres_admin_url "postgresql+psycopg://postgres:$postgres@postgres:5432/postgres"
save postgres_url "postgresql+psycopg://SMUser:$(password)@postgres:5432/SocialMedia"

# The server in the container signs its certificate itself.
options='driver=ODBC+Driver+18+for+SQL+Server&TrustServerCertificate=yes'
sa="$(password)"
save sqlserver_password "$sa"
save sqlserver_admin_url "mssql+pyodbc://sa:$sa@sqlserver:1433/master?$options"
save sqlserver_url "mssql+pyodbc://SMUser:$(password)@sqlserver:1433/SocialMedia?$options"

mv "$made" "$folder"
echo "Created the passwords in $folder."
